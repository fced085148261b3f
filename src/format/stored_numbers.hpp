// SPDX-License-Identifier: Apache-2.0
// Numbers as files store them: unaligned loads, halves, and blocks of codes. Private to the room.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "twistor/format/weight_file.hpp"

namespace twistor::format {

template <class T>
T load_stored(const std::byte* bytes, std::int64_t index) {
  T value;
  std::memcpy(&value, bytes + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

// IEEE binary16 to binary32, exact for finite values; inf and NaN become inf and NaN. Branch-free, so that
// loops over it vectorise without F16C.
inline float from_f16(std::uint16_t half) {
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

inline constexpr std::int64_t longest_block = 256, most_groups = 16;

/// One block of a quantised type as codes with a scale and an offset for each group (code_layout): `codes`
/// has room for a block's elements, `scales` and `offsets` for its groups.
void unpack_block(StoredType type, const std::byte* block, std::int8_t* codes, float* scales, float* offsets);

}  // namespace twistor::format
