// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 by tiles of 16 rows of 64 bytes: two by two tiles of sums at a time, so 32 rows of x
// by a panel's 32 columns.
//
// A step adds sixteen pairs of neighbours along K to each sum: the first ones of all pairs in their order,
// the second ones likewise, and the two sums to the tile's. So the bits of a row depend on that row alone.
// `Tiles` is the processor's, or in tests a class that does the same in plain C++.
#pragma once

#include <cstddef>
#include <cstdint>

#include "inline.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device::TWISTOR_ISA::product {

inline constexpr std::int64_t tile_height = 16;               // rows of a tile, and pairs along K of a step
inline constexpr std::int64_t tile_bytes = 64;                // of a row of a tile
inline constexpr std::int64_t pairs_bytes = 4 * panel_width;  // of a panel's row of pairs

// The eight tiles: sums of the upper and lower rows by the left and right columns, x, and the panel.
enum Tile { upper_left, upper_right, lower_left, lower_right, upper_x, lower_x, left_panel, right_panel };

/// Words of a row of k numbers: pairs, filled up with zeros to whole tiles.
inline std::int64_t words_of_tiles(std::int64_t k) {
  return (k + 2 * tile_height - 1) / (2 * tile_height) * tile_height;
}

/// Sixteen pairs of K: x from `x` on, their rows of the panel from `w` on.
template <class Tiles, bool has_lower>
TWISTOR_INLINE void add_step(const std::uint32_t* x, std::int64_t words, const std::byte* w) {
  Tiles::template load<left_panel>(w, pairs_bytes);
  Tiles::template load<right_panel>(w + tile_bytes, pairs_bytes);
  Tiles::template load<upper_x>(x, 4 * words);
  if constexpr (has_lower) Tiles::template load<lower_x>(x + tile_height * words, 4 * words);
  Tiles::template dot<upper_left, upper_x, left_panel>();
  Tiles::template dot<upper_right, upper_x, right_panel>();
  if constexpr (has_lower) {
    Tiles::template dot<lower_left, lower_x, left_panel>();
    Tiles::template dot<lower_right, lower_x, right_panel>();
  }
}

/// Up to 16 rows, or up to 32 where they have lower ones. `rest` is the panel's last step, filled up with
/// zeros, or none. `fetches`: whether the panel comes from memory and is fetched ahead.
template <class Tiles, bool has_lower>
void sum_rows(const std::uint32_t* x, std::int64_t words, const std::byte* panel, std::int64_t whole_steps,
              const std::byte* rest, bool fetches, float* sums) {
  constexpr std::int64_t step = tile_height * pairs_bytes, ahead = 2 * step;
  Tiles::template zero<upper_left>();
  Tiles::template zero<upper_right>();
  if constexpr (has_lower) {
    Tiles::template zero<lower_left>();
    Tiles::template zero<lower_right>();
  }
  for (std::int64_t s = 0; s < whole_steps; ++s, x += tile_height, panel += step) {
    if (fetches)
      for (std::int64_t line = 0; line < step; line += 64) __builtin_prefetch(panel + ahead + line, 0, 2);
    add_step<Tiles, has_lower>(x, words, panel);
  }
  if (rest != nullptr) add_step<Tiles, has_lower>(x, words, rest);
  Tiles::template store<upper_left>(sums, pairs_bytes);
  Tiles::template store<upper_right>(sums + tile_bytes / 4, pairs_bytes);
  if constexpr (has_lower) {
    float* lower = sums + tile_height * panel_width;
    Tiles::template store<lower_left>(lower, pairs_bytes);
    Tiles::template store<lower_right>(lower + tile_bytes / 4, pairs_bytes);
  }
}

/// sums (rows, 32) = x panel^T, of rows of words_of_tiles(k) words.
template <class Tiles>
void sum_by_tiles(const std::uint32_t* x, std::int64_t rows, const std::byte* panel, std::int64_t k,
                  float* sums) {
  const std::int64_t words = words_of_tiles(k), pairs = (k + 1) / 2;
  const std::int64_t whole_steps = pairs / tile_height, left_over = pairs % tile_height;
  alignas(64) std::byte rest[tile_height * pairs_bytes];
  if (left_over > 0) {
    const auto bytes = static_cast<std::size_t>(left_over * pairs_bytes);
    __builtin_memcpy(rest, panel + whole_steps * tile_height * pairs_bytes, bytes);
    __builtin_memset(rest + bytes, 0, sizeof rest - bytes);
  }
  std::int64_t shaped_for = 0;
  for (std::int64_t first = 0; first < rows; first += 2 * tile_height) {
    const std::int64_t height = rows - first < 2 * tile_height ? rows - first : 2 * tile_height;
    const std::int64_t upper = height < tile_height ? height : tile_height;
    if (height != shaped_for) Tiles::shape(upper, height - upper);
    shaped_for = height;
    const auto sum = height > tile_height ? sum_rows<Tiles, true> : sum_rows<Tiles, false>;
    sum(x + first * words, words, panel, whole_steps, left_over > 0 ? rest : nullptr, first == 0,
        sums + first * panel_width);
  }
  Tiles::release();
}

}  // namespace twistor::device::TWISTOR_ISA::product
