// SPDX-License-Identifier: Apache-2.0
// What all weight formats share: looking tensors up, and turning stored rows into float32.
#include "twistor/format/weight_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "stored_numbers.hpp"
#include "twistor/base/bfloat16.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

/// Calls use(codes, scales, offsets, index of the block's first element) for each block of `n` elements.
template <class Use>
void for_each_block(StoredType type, const std::byte* bytes, std::size_t n, Use use) {
  const StoredLayout layout = layout_of(type);
  std::int8_t codes[longest_block];
  float scales[most_groups], offsets[most_groups];
  for (std::size_t i = 0; i < n; i += static_cast<std::size_t>(layout.block_elements)) {
    unpack_block(type, bytes, codes, scales, offsets);
    use(codes, scales, offsets, i);
    bytes += layout.block_bytes;
  }
}

void expand_codes(StoredType type, const std::byte* bytes, std::span<float> out) {
  const std::int64_t group = code_layout(type).group, n_groups = layout_of(type).block_elements / group;
  for_each_block(type, bytes, out.size(),
                 [&](const auto* codes, const auto* scales, const auto* offsets, std::size_t at) {
                   float* block = out.data() + at;
                   for (std::int64_t g = 0; g < n_groups; ++g)
                     for (std::int64_t i = g * group; i < (g + 1) * group; ++i)
                       block[i] = scales[g] * static_cast<float>(codes[i]) + offsets[g];
                 });
}

void expand(StoredType type, const std::byte* bytes, std::span<float> out) {
  const auto n = static_cast<std::int64_t>(out.size());
  switch (type) {
    case StoredType::f32:
      std::memcpy(out.data(), bytes, out.size_bytes());
      return;
    case StoredType::f16:
      for (std::int64_t i = 0; i < n; ++i) out.data()[i] = from_f16(load_stored<std::uint16_t>(bytes, i));
      return;
    case StoredType::bf16:
      for (std::int64_t i = 0; i < n; ++i)
        out.data()[i] = from_bfloat16(load_stored<std::uint16_t>(bytes, i));
      return;
    default:
      return expand_codes(type, bytes, out);
  }
}

// By exponent bits: one pass that vectorises, whatever the compiler assumes about NaN.
bool all_finite(std::span<const float> values) {
  std::uint32_t n_bad = 0;
  for (const float value : values)
    n_bad |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & 0x7f800000u) == 0x7f800000u);
  return n_bad == 0;
}

}  // namespace

std::int64_t TensorInfo::numel() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

StoredLayout layout_of(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return {"F32", 1, 4};
    case StoredType::f16:
      return {"F16", 1, 2};
    case StoredType::bf16:
      return {"BF16", 1, 2};
    case StoredType::i64:
      return {"I64", 1, 8};
    case StoredType::q8_0:
      return {"Q8_0", 32, 2 + 32};
    case StoredType::q4_0:
      return {"Q4_0", 32, 2 + 16};
    case StoredType::q4_1:
      return {"Q4_1", 32, 4 + 16};
    case StoredType::q5_0:
      return {"Q5_0", 32, 2 + 4 + 16};
    case StoredType::q5_1:
      return {"Q5_1", 32, 4 + 4 + 16};
    case StoredType::q4_k:
      return {"Q4_K", 256, 4 + 12 + 128};
    case StoredType::q5_k:
      return {"Q5_K", 256, 4 + 12 + 32 + 128};
    case StoredType::q6_k:
      return {"Q6_K", 256, 128 + 64 + 16 + 2};
    default:
      return {"of another type", 1, 0};
  }
}

std::int64_t checked_numel(std::span<const std::int64_t> shape, const std::string& doing,
                           const std::string& what) {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) {
    const bool fits = size >= 0 && !__builtin_mul_overflow(n, size, &n);
    TWISTOR_CHECK(
        fits, ErrorKind::data, doing,
        fmt::format("{}: the number of elements of shape [{}] overflows", what, fmt::join(shape, ", ")));
  }
  return n;
}

const TensorInfo* WeightFile::find(std::string_view name) const {
  const auto& all = tensors();
  const auto found =
      std::lower_bound(all.begin(), all.end(), name,
                       [](const TensorInfo& tensor, std::string_view key) { return tensor.name < key; });
  return found != all.end() && found->name == name ? &*found : nullptr;
}

const TensorInfo& WeightFile::require(std::string_view name, std::span<const std::int64_t> shape) const {
  const std::string doing = "loading weights from " + path().string();
  const TensorInfo* tensor = find(name);
  TWISTOR_CHECK(tensor != nullptr, ErrorKind::data, doing,
                fmt::format("expected a tensor {} of shape [{}], got none of that name among {}", quote(name),
                            fmt::join(shape, ", "), tensors().size()),
                "the weights belong to another model family, or the file is incomplete");
  TWISTOR_CHECK(std::ranges::equal(tensor->shape, shape), ErrorKind::data, doing,
                fmt::format("tensor {}: expected shape [{}], got [{}]", quote(name), fmt::join(shape, ", "),
                            fmt::join(tensor->shape, ", ")),
                "the sizes in the model's configuration do not fit its weights");
  return *tensor;
}

namespace {

/// Where rows [row_begin, row_end) begin and how many elements they have.
struct Rows {
  const std::byte* bytes = nullptr;
  std::int64_t size = 0, row_size = 0;
};

Rows locate_rows(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end) {
  const std::int64_t n_rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  const std::int64_t row_size = n_rows == 0 ? 0 : tensor.numel() / n_rows;
  TWISTOR_ASSERT(0 <= row_begin && row_begin <= row_end && row_end <= n_rows, "rows out of range");
  const StoredLayout layout = layout_of(tensor.type);
  const std::int64_t size = (row_end - row_begin) * row_size;
  TWISTOR_ASSERT(row_begin * row_size % layout.block_elements == 0 && size % layout.block_elements == 0,
                 "rows do not consist of whole blocks");
  const std::int64_t offset = row_begin * row_size / layout.block_elements * layout.block_bytes;
  return {tensor.bytes.data() + offset, size, row_size};
}

}  // namespace

void read_rows_f32(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end,
                   std::span<float> out) {
  TWISTOR_CHECK(tensor.type != StoredType::i64 && tensor.type != StoredType::other, ErrorKind::data,
                "reading tensor " + quote(tensor.name),
                fmt::format("expected floating-point numbers, got a tensor {}", layout_of(tensor.type).name));
  const Rows rows = locate_rows(tensor, row_begin, row_end);
  TWISTOR_ASSERT(static_cast<std::int64_t>(out.size()) == rows.size, "out has the wrong size");
  if (out.empty()) return;
  expand(tensor.type, rows.bytes, out);
  if (all_finite(out)) return;
  const auto bad =
      std::ranges::find_if_not(out, [](float value) { return std::isfinite(value); }) - out.begin();
  throw Error(
      ErrorKind::data, "reading tensor " + quote(tensor.name),
      fmt::format("expected finite numbers, got {} in row {}, column {}", out[static_cast<std::size_t>(bad)],
                  row_begin + bad / rows.row_size, bad % rows.row_size),
      "the file is damaged, or the model was saved after its training had diverged");
}

std::vector<float> read_f32(const TensorInfo& tensor) {
  std::vector<float> out(static_cast<std::size_t>(tensor.numel()));
  read_rows_f32(tensor, 0, tensor.shape[0], out);
  return out;
}

void read_rows_codes(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end,
                     std::span<std::int8_t> codes, std::span<float> scales, std::span<float> offsets) {
  const std::int64_t group = code_layout(tensor.type).group;
  TWISTOR_ASSERT(group > 0, "a tensor without codes");
  const Rows rows = locate_rows(tensor, row_begin, row_end);
  TWISTOR_ASSERT(static_cast<std::int64_t>(codes.size()) == rows.size &&
                     static_cast<std::int64_t>(scales.size()) == rows.size / group &&
                     offsets.size() == scales.size(),
                 "the buffers have the wrong size");
  const std::int64_t block = layout_of(tensor.type).block_elements;
  for_each_block(tensor.type, rows.bytes, codes.size(),
                 [&](const auto* c, const auto* s, const auto* o, std::size_t at) {
                   std::copy_n(c, block, codes.data() + at);
                   std::copy_n(s, block / group, scales.data() + at / static_cast<std::size_t>(group));
                   std::copy_n(o, block / group, offsets.data() + at / static_cast<std::size_t>(group));
                 });
  TWISTOR_CHECK(
      all_finite(scales) && all_finite(offsets), ErrorKind::data, "reading tensor " + quote(tensor.name),
      fmt::format("expected finite scales, got one that is not in rows {} to {}", row_begin, row_end - 1),
      "the file is damaged, or the model was saved after its training had diverged");
}

}  // namespace twistor::format
