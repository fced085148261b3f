// SPDX-License-Identifier: Apache-2.0
// The processor's tiles (AMX) and its products of bfloat16 on them. Instructions are written out, because the
// compilers' intrinsics take tiles as literals only and do not say which memory they read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "product_tiles.hpp"

namespace twistor::device::TWISTOR_ISA::product {

struct AmxTiles {
  /// What LDTILECFG reads.
  struct Shapes {
    std::uint8_t palette = 1, start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t row_bytes[16] = {};
    std::uint8_t rows[16] = {};
  };
  static_assert(sizeof(Shapes) == 64);

  /// Rows of the upper tiles and of the lower ones, of which there may be none. All tiles become zero.
  TWISTOR_INLINE static void shape(std::int64_t upper, std::int64_t lower) {
    const std::int64_t heights[] = {upper, upper, lower, lower, upper, lower, tile_height, tile_height};
    Shapes shapes;
    for (int tile = upper_left; tile <= right_panel; ++tile) {
      shapes.rows[tile] = static_cast<std::uint8_t>(heights[tile]);
      shapes.row_bytes[tile] = heights[tile] == 0 ? 0 : tile_bytes;
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  TWISTOR_INLINE static void release() { asm volatile("tilerelease" : : : "memory"); }

  template <Tile T>
  TWISTOR_INLINE static void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  /// Rows from `from` on, `stride` bytes apart.
  template <Tile T>
  TWISTOR_INLINE static void load(const void* from, std::int64_t stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
  }
  template <Tile T>
  TWISTOR_INLINE static void store(void* to, std::int64_t stride) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
  }
  template <Tile Sums, Tile X, Tile Panel>
  TWISTOR_INLINE static void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(X), "i"(Panel));
  }
};

}  // namespace twistor::device::TWISTOR_ISA::product
