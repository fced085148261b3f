// SPDX-License-Identifier: Apache-2.0
// A PEFT folder, opened and checked as far as the adapter alone can be. Private to the model room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "families/families.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/weight_file.hpp"

namespace twistor::model {

constexpr std::string_view adapter_prefix = "base_model.model.";  // PEFT's, before all names

struct AdapterFile {
  std::int64_t rank = 0;
  double alpha = 0;  ///< so that additions are scaled by alpha / rank, also where the file scales otherwise
  std::string targets;  ///< as the configuration has them, in order: a list, or one pattern
  std::unique_ptr<MappedFile> file;
  std::vector<format::TensorInfo> tensors;  ///< views of `file`

  /// The tensor whose name is `ours` behind PEFT's prefix, where models' files may leave out a root; nullptr
  /// if there is none.
  [[nodiscard]] const format::TensorInfo* find(const std::string& ours) const;
};

/// Whether an adapter's name of a tensor is that of ours.
[[nodiscard]] bool is_name_of(std::string_view theirs, const std::string& ours);

/// *Local.* Throws Error(no_input) if it is no such folder, Error(data) on a damaged file or on an adapter
/// that does more than add low-rank products to matrices.
[[nodiscard]] AdapterFile open_adapter(const std::filesystem::path& folder);

/// Matrices of a decoder with an adapter's additions in them.
class MergedAdapter {
 public:
  /// Takes the place of the tensors of `source`, and makes the fingerprint that of both. Without
  /// `has_values`, for a rank that does not read weights, nothing is computed. It must outlive the reading of
  /// weights. *Local.* Throws as open_adapter(), and Error(data) where the adapter is another model's.
  MergedAdapter(DecoderSource& source, const std::filesystem::path& folder, bool has_values);

 private:
  std::vector<std::unique_ptr<std::vector<float>>> values_;
  std::vector<std::unique_ptr<format::TensorInfo>> tensors_;
};

}  // namespace twistor::model
