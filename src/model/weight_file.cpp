// What all weight formats share: looking tensors up, and turning stored rows into float32.
#include "twistor/model/weight_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/model/weight_formats.hpp"
#include "twistor/text/quote.hpp"

namespace twistor::model {
namespace {

using text::quote;

template <class T>
T load(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// IEEE binary16 to binary32, exact for finite values; inf and NaN become inf and NaN. Branch-free, so that
// loops over it vectorise without F16C.
float from_f16(std::uint16_t half) {
  const std::uint32_t magnitude = (half & 0x7fffu) << 13;
  const std::uint32_t exponent = magnitude & 0x0f800000u;
  const std::uint32_t normal = magnitude + ((127u - 15u) << 23);
  const std::uint32_t special = normal + ((128u - 16u) << 23);
  // A subnormal half m * 2^-24 is (1 + m / 2^10) * 2^-14 - 2^-14, both of which are normal floats.
  const float subnormal = std::bit_cast<float>(normal + (1u << 23)) -
                          std::bit_cast<float>(static_cast<std::uint32_t>(113u << 23));
  std::uint32_t bits = exponent == 0x0f800000u ? special : normal;
  bits = exponent == 0 ? std::bit_cast<std::uint32_t>(subnormal) : bits;
  return std::bit_cast<float>(bits | (static_cast<std::uint32_t>(half & 0x8000u) << 16));
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

constexpr std::int64_t block_elements = 32;
constexpr std::int64_t q8_0_bytes = 2 + 32;
constexpr std::int64_t q4_0_bytes = 2 + 16;
constexpr std::int64_t q4_1_bytes = 2 + 2 + 16;

// One block each: 32 values out. Element i < 16 is the low nibble of byte i, element 16 + i the high one.
void expand_q8_0(const std::byte* block, float* out) {
  const float scale = from_f16(load<std::uint16_t>(block, 0));
  for (std::int64_t i = 0; i < 32; ++i) out[i] = scale * static_cast<float>(load<std::int8_t>(block + 2, i));
}

void expand_q4_0(const std::byte* block, float* out) {
  const float scale = from_f16(load<std::uint16_t>(block, 0));
  for (std::int64_t i = 0; i < 16; ++i) {
    const int pair = load<std::uint8_t>(block + 2, i);
    out[i] = scale * static_cast<float>((pair & 15) - 8);
    out[16 + i] = scale * static_cast<float>((pair >> 4) - 8);
  }
}

void expand_q4_1(const std::byte* block, float* out) {
  const float scale = from_f16(load<std::uint16_t>(block, 0));
  const float smallest = from_f16(load<std::uint16_t>(block, 1));
  for (std::int64_t i = 0; i < 16; ++i) {
    const int pair = load<std::uint8_t>(block + 4, i);
    out[i] = scale * static_cast<float>(pair & 15) + smallest;
    out[16 + i] = scale * static_cast<float>(pair >> 4) + smallest;
  }
}

template <class Expand>
void expand_blocks(const std::byte* bytes, std::int64_t block_bytes, std::span<float> out, Expand expand) {
  for (std::size_t i = 0; i < out.size(); i += block_elements, bytes += block_bytes)
    expand(bytes, out.data() + i);
}

void expand(StoredType type, const std::byte* bytes, std::span<float> out) {
  const auto n = static_cast<std::int64_t>(out.size());
  switch (type) {
    case StoredType::f32:
      std::memcpy(out.data(), bytes, out.size_bytes());
      return;
    case StoredType::f16:
      for (std::int64_t i = 0; i < n; ++i) out.data()[i] = from_f16(load<std::uint16_t>(bytes, i));
      return;
    case StoredType::bf16:
      for (std::int64_t i = 0; i < n; ++i) out.data()[i] = from_bf16(load<std::uint16_t>(bytes, i));
      return;
    case StoredType::q8_0:
      return expand_blocks(bytes, q8_0_bytes, out, expand_q8_0);
    case StoredType::q4_0:
      return expand_blocks(bytes, q4_0_bytes, out, expand_q4_0);
    case StoredType::q4_1:
      return expand_blocks(bytes, q4_1_bytes, out, expand_q4_1);
    default:
      break;
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
      return {"Q8_0", block_elements, q8_0_bytes};
    case StoredType::q4_0:
      return {"Q4_0", block_elements, q4_0_bytes};
    case StoredType::q4_1:
      return {"Q4_1", block_elements, q4_1_bytes};
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

void read_rows_f32(const TensorInfo& tensor, std::int64_t row_begin, std::int64_t row_end,
                   std::span<float> out) {
  const std::string doing = "reading tensor " + quote(tensor.name);
  const std::int64_t n_rows = tensor.shape.empty() ? 1 : tensor.shape.front();
  const std::int64_t row_size = n_rows == 0 ? 0 : tensor.numel() / n_rows;
  TWISTOR_ASSERT(0 <= row_begin && row_begin <= row_end && row_end <= n_rows, "rows out of range");
  TWISTOR_ASSERT(static_cast<std::int64_t>(out.size()) == (row_end - row_begin) * row_size,
                 "out has the wrong size");
  const StoredLayout layout = layout_of(tensor.type);
  TWISTOR_CHECK(tensor.type != StoredType::i64 && tensor.type != StoredType::other, ErrorKind::data, doing,
                fmt::format("expected floating-point numbers, got a tensor {}", layout.name));
  const std::int64_t offset = row_begin * row_size / layout.block_elements * layout.block_bytes;
  TWISTOR_ASSERT(row_begin * row_size % layout.block_elements == 0 &&
                     static_cast<std::int64_t>(out.size()) % layout.block_elements == 0,
                 "rows do not consist of whole blocks");
  if (out.empty()) return;
  expand(tensor.type, tensor.bytes.data() + offset, out);
  if (all_finite(out)) return;
  const auto bad =
      std::ranges::find_if_not(out, [](float value) { return std::isfinite(value); }) - out.begin();
  throw Error(ErrorKind::data, doing,
              fmt::format("expected finite numbers, got {} in row {}, column {}",
                          out[static_cast<std::size_t>(bad)], row_begin + bad / row_size, bad % row_size),
              "the file is damaged, or the model was saved after its training had diverged");
}

}  // namespace twistor::model
