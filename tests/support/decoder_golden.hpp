// SPDX-License-Identifier: Apache-2.0
// Decoders with random weights and the values that an independent implementation gives for them.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/temporary_folder.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/format/weight_formats.hpp"
#include "twistor/model/language_model.hpp"

namespace twistor::test {

inline const std::filesystem::path golden_folder = std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden";

/// One tensor of a safetensors file: F32, or I64 where `dtype` says so.
inline at::Tensor read_tensor(const std::filesystem::path& file, std::string_view name,
                              at::ScalarType dtype = at::kFloat) {
  const MappedFile mapping(file);
  const std::vector<format::TensorInfo> tensors = format::parse_safetensors(mapping.bytes(), file.string());
  const format::TensorInfo& tensor =
      *std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  at::Tensor out = at::empty(tensor.shape, dtype);
  std::memcpy(out.mutable_data_ptr(), tensor.bytes.data(), static_cast<std::size_t>(out.nbytes()));
  return out;
}

/// What make_decoder_goldens.py wrote beside a model: ids (n, L), hidden (n, L, D), logits (n, L, V).
struct DecoderGolden {
  explicit DecoderGolden(const std::filesystem::path& file)
      : ids(read_tensor(file, "input_ids", at::kLong)),
        hidden(read_tensor(file, "hidden")),
        logits(read_tensor(file, "logits")) {}
  at::Tensor ids, hidden, logits;
};

inline at::Tensor all_logits(const model::LanguageModel& lm, const at::Tensor& hidden) {
  const at::Tensor rows = hidden.reshape({-1, lm.hidden_size()});
  at::Tensor out = at::empty({rows.size(0), lm.vocab_size()}, rows.options());
  lm.logits(rows, 0, lm.vocab_size(), out);
  std::vector<std::int64_t> shape(hidden.sizes().begin(), hidden.sizes().end());
  shape.back() = lm.vocab_size();
  return out.to(at::kCPU).reshape(shape);
}

/// Appends columns [begin, end) of ids (n, L) to the cache; returns their hidden states.
inline at::Tensor forward_ids(const model::LanguageModel& lm, const at::Tensor& ids, std::int64_t begin,
                              std::int64_t end, model::Cache& cache) {
  const at::Tensor part = ids.slice(1, begin, end).contiguous();
  return lm.forward({part.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(part.numel())}, cache);
}

/// The largest difference, in units of the spread of what is expected.
inline double relative_error(const at::Tensor& value, const at::Tensor& expected) {
  return ((value - expected).abs().max() / (expected.max() - expected.min())).item<double>();
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.contiguous(), y = b.contiguous();
  return x.sizes() == y.sizes() &&
         std::memcmp(x.const_data_ptr(), y.const_data_ptr(), static_cast<std::size_t>(x.nbytes())) == 0;
}

/// A golden model whose config.json is changed by a patch: its values replace those of the same place, null
/// among them. The weights are linked.
class PatchedModel {
 public:
  PatchedModel(const std::string& model, const nlohmann::json& patch) {
    const std::filesystem::path original = golden_folder / model;
    nlohmann::json config = nlohmann::json::parse(read_file(original / "config.json"));
    config.update(patch, true);
    folder_.write("config.json", config.dump());
    std::filesystem::create_symlink(original / "model.safetensors", folder_.path() / "model.safetensors");
  }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace twistor::test
