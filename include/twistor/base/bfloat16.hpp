// SPDX-License-Identifier: Apache-2.0
// bfloat16 on the host: the upper half of a float32's bits.
#pragma once

#include <bit>
#include <cstdint>

namespace twistor {

/// Rounded to nearest even.
[[nodiscard]] inline std::uint16_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
[[nodiscard]] inline float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

}  // namespace twistor
