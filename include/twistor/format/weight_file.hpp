// SPDX-License-Identifier: Apache-2.0
// Named tensors in a file, whatever the format: safetensors (one or many) or GGUF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::format {

/// Element types as stored. Block-quantised types expand to float32 on reading. `other` types of safetensors
/// (masks, position tables) are listed but cannot be read.
enum class StoredType { f32, f16, bf16, i64, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, other };

struct TensorInfo {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<std::int64_t> shape;   ///< row-major, outermost first (GGUF's order is turned round)
  std::span<const std::byte> bytes;  ///< in the mapped file; lives as long as the WeightFile
  [[nodiscard]] std::int64_t numel() const;
};

/// *Local*, immutable. Every offset and length was checked against the file when it was opened.
class WeightFile {
 public:
  virtual ~WeightFile() = default;
  /// Sorted by name.
  [[nodiscard]] virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// nullptr if there is none of that name.
  [[nodiscard]] const TensorInfo* find(std::string_view name) const;
  /// Throws Error(data) naming the tensor, the shape expected and the shape found.
  [[nodiscard]] const TensorInfo& require(std::string_view name, std::span<const std::int64_t> shape) const;
  /// The file, or the folder, for messages.
  [[nodiscard]] virtual std::filesystem::path path() const = 0;
};

/// Rows [row_begin, row_end) of a tensor seen as (shape[0], rest), as float32 into out; a scalar is one row.
/// Throws Error(data) on NaN or inf, and on types that are no floating-point numbers.
void read_rows_f32(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end,
                   std::span<float> out);
/// All values of a tensor. Throws as read_rows_f32().
[[nodiscard]] std::vector<float> read_f32(const TensorInfo& tensor);

/// How a block-quantised type stores a row: element i is scale[i / group] * code[i] + offset[i / group],
/// where the product is exact in float32, so that there is one rounding.
struct CodeLayout {
  std::int64_t group = 0;     ///< 0: the type has no codes
  bool is_four_bits = false;  ///< codes are 0 to 15
};
[[nodiscard]] CodeLayout code_layout(StoredType type);

/// Rows of a block-quantised matrix as codes (rows * K) with scales and offsets (rows * K / group each): what
/// read_rows_f32 gives, unexpanded. Throws Error(data) on scales and offsets that are NaN or inf.
void read_rows_codes(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end,
                     std::span<std::int8_t> codes, std::span<float> scales, std::span<float> offsets);

/// Opens model.safetensors, or model.safetensors.index.json with its shards, in a folder.
[[nodiscard]] std::unique_ptr<WeightFile> open_safetensors(const std::filesystem::path& folder);
/// Opens the tensors of a GGUF file.
[[nodiscard]] std::unique_ptr<WeightFile> open_gguf_weights(const std::filesystem::path& file);

}  // namespace twistor::format
