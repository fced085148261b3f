// SPDX-License-Identifier: Apache-2.0
// Finds a model's tensors in its file and collects all that is wrong with them into one message. Private to
// the model room.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "twistor/format/weight_file.hpp"

namespace twistor::model {

/// *Local.* The pointers it gives live as long as the file; use them after finish() alone.
class TensorSearch {
 public:
  using Shape = std::initializer_list<std::int64_t>;

  explicit TensorSearch(const format::WeightFile& file) : file_(&file) {}

  /// The tensor, or nullptr with a note for finish() where it is missing or has another shape.
  const format::TensorInfo* need(const std::string& name, Shape shape);
  /// The same for a tensor that may be missing.
  const format::TensorInfo* find(const std::string& name, Shape shape);

  /// Throws Error(data) naming every tensor that was needed and is missing, or has another shape than
  /// expected.
  void finish() const;

 private:
  const format::WeightFile* file_;
  std::vector<std::string> missing_, misshapen_;
};

}  // namespace twistor::model
