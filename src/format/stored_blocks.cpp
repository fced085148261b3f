// SPDX-License-Identifier: Apache-2.0
// The block-quantised types of GGUF: where codes, scales and offsets lie in a block.
#include "stored_numbers.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/weight_formats.hpp"

namespace twistor::format {
namespace {

std::uint8_t byte_at(const std::byte* bytes, std::int64_t index) {
  return std::to_integer<std::uint8_t>(bytes[index]);
}

float half_at(const std::byte* bytes, std::int64_t index) {
  return from_f16(load_stored<std::uint16_t>(bytes, index));
}

/// 32 nibbles: element i < 16 is the low one of byte i, element 16 + i the high one.
void unpack_nibbles(const std::byte* nibbles, std::int8_t* codes) {
  for (std::int64_t i = 0; i < 16; ++i) {
    codes[i] = static_cast<std::int8_t>(byte_at(nibbles, i) & 15);
    codes[16 + i] = static_cast<std::int8_t>(byte_at(nibbles, i) >> 4);
  }
}

/// The fifth bits of 32 elements, from one 32-bit number.
void add_fifth_bits(const std::byte* bits, std::int8_t* codes) {
  const auto all = load_stored<std::uint32_t>(bits, 0);
  for (std::int64_t i = 0; i < 32; ++i)
    codes[i] = static_cast<std::int8_t>(codes[i] | static_cast<std::int8_t>((all >> i & 1u) << 4));
}

/// Q4_K and Q5_K: 8 groups, whose 6-bit scales and minima share 12 bytes; the last four groups keep their
/// upper two bits in the first eight bytes.
void unpack_scales_k(const std::byte* block, float* scales, float* offsets) {
  const float scale = half_at(block, 0), minimum = half_at(block, 1);
  const std::byte* packed = block + 4;
  for (std::int64_t g = 0; g < 8; ++g) {
    int s = byte_at(packed, g) & 63, m = byte_at(packed, g + 4) & 63;
    if (g >= 4) {
      s = (byte_at(packed, g + 4) & 15) | (byte_at(packed, g - 4) >> 6 << 4);
      m = (byte_at(packed, g + 4) >> 4) | (byte_at(packed, g) >> 6 << 4);
    }
    scales[g] = scale * static_cast<float>(s);
    offsets[g] = -(minimum * static_cast<float>(m));
  }
}

/// Q4_K and Q5_K: each 32 bytes hold the low nibbles of one group, then the high ones of the next.
void unpack_nibbles_k(const std::byte* nibbles, std::int8_t* codes) {
  for (std::int64_t pair = 0; pair < 4; ++pair)
    for (std::int64_t i = 0; i < 32; ++i) {
      codes[64 * pair + i] = static_cast<std::int8_t>(byte_at(nibbles, 32 * pair + i) & 15);
      codes[64 * pair + 32 + i] = static_cast<std::int8_t>(byte_at(nibbles, 32 * pair + i) >> 4);
    }
}

/// Byte i of `bits` holds the fifth bit of element i of every group g in its bit g.
void add_fifth_bits_k(const std::byte* bits, std::int8_t* codes) {
  for (std::int64_t g = 0; g < 8; ++g)
    for (std::int64_t i = 0; i < 32; ++i)
      codes[32 * g + i] = static_cast<std::int8_t>(codes[32 * g + i] | (byte_at(bits, i) >> g & 1) << 4);
}

/// Q6_K: two halves of 128 elements; 64 bytes of nibbles and 32 bytes of upper bit pairs each, 16 signed
/// scales.
void unpack_q6_k(const std::byte* block, std::int8_t* codes, float* scales, float* offsets) {
  const std::byte* scale_bytes = block + 192;
  const float scale = half_at(block + 208, 0);
  for (std::int64_t g = 0; g < 16; ++g) {
    scales[g] = scale * static_cast<float>(load_stored<std::int8_t>(scale_bytes, g));
    offsets[g] = 0;
  }
  for (std::int64_t half = 0; half < 2; ++half)
    for (std::int64_t i = 0; i < 128; ++i) {
      const int nibbles = byte_at(block, 64 * half + i % 64);
      const int upper = byte_at(block + 128, 32 * half + i % 32) >> (i / 32 * 2) & 3;
      const int low = i < 64 ? nibbles & 15 : nibbles >> 4;
      codes[128 * half + i] = static_cast<std::int8_t>((low | upper << 4) - 32);
    }
}

}  // namespace

CodeLayout code_layout(StoredType type) {
  switch (type) {
    case StoredType::q4_0:
    case StoredType::q4_1:
    case StoredType::q4_k:
      return {32, true};
    case StoredType::q8_0:
    case StoredType::q5_0:
    case StoredType::q5_1:
    case StoredType::q5_k:
      return {32, false};
    case StoredType::q6_k:
      return {16, false};
    default:
      return {};
  }
}

void unpack_block(StoredType type, const std::byte* block, std::int8_t* codes, float* scales,
                  float* offsets) {
  switch (type) {
    case StoredType::q8_0:
      scales[0] = half_at(block, 0);
      offsets[0] = 0;
      std::memcpy(codes, block + 2, 32);
      return;
    case StoredType::q4_0:
      scales[0] = half_at(block, 0);
      offsets[0] = -8 * scales[0];
      return unpack_nibbles(block + 2, codes);
    case StoredType::q4_1:
      scales[0] = half_at(block, 0);
      offsets[0] = half_at(block, 1);
      return unpack_nibbles(block + 4, codes);
    case StoredType::q5_0:
      scales[0] = half_at(block, 0);
      offsets[0] = -16 * scales[0];
      unpack_nibbles(block + 6, codes);
      return add_fifth_bits(block + 2, codes);
    case StoredType::q5_1:
      scales[0] = half_at(block, 0);
      offsets[0] = half_at(block, 1);
      unpack_nibbles(block + 8, codes);
      return add_fifth_bits(block + 4, codes);
    case StoredType::q4_k:
      unpack_scales_k(block, scales, offsets);
      return unpack_nibbles_k(block + 16, codes);
    case StoredType::q5_k:
      unpack_scales_k(block, scales, offsets);
      unpack_nibbles_k(block + 48, codes);
      return add_fifth_bits_k(block + 16, codes);
    case StoredType::q6_k:
      return unpack_q6_k(block, codes, scales, offsets);
    default:
      TWISTOR_ASSERT(false, "a type without codes");
  }
}

}  // namespace twistor::format
