// SPDX-License-Identifier: Apache-2.0
// Products with panels of 4- and 8-bit codes. A product of scale and code is exact, so a fused sum with the
// offset rounds like the file reader's, and results have the bits of the expanded matrix.
#pragma once

#include "product.hpp"

namespace twistor::device::TWISTOR_ISA::codes {

using product::columns;
using product::panel_registers;
using product::width;
using simd::Integers;
using simd::Register;

/// One group of a panel: 32 scales, 32 offsets, codes.
struct Group {
  const std::byte* data;
  TWISTOR_INLINE Register scale(int c) const {
    return simd::load_register(reinterpret_cast<const float*>(data) + c * width);
  }
  TWISTOR_INLINE Register offset(int c) const {
    return simd::load_register(reinterpret_cast<const float*>(data) + columns + c * width);
  }
  TWISTOR_INLINE const std::byte* codes() const { return data + 2 * columns * 4; }
};

TWISTOR_INLINE std::int64_t group_bytes(const CodePanel& panel) {
  return 2 * columns * 4 + panel.group * columns * (panel.is_four_bits ? 1 : 2) / 2;
}

TWISTOR_INLINE void fetch(const std::byte* from, std::int64_t bytes) {
  for (std::int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(from + b, 0, 2);
}

/// use(j, weights) for j = 0..7 with eight steps of 4-bit codes of `words`.
template <int J = 0, class Use>
TWISTOR_INLINE void for_each_nibble(Integers words, Register scale, Register offset, const Use& use) {
  use(J, simd::fma(simd::nibble<J>(words), scale, offset));
  if constexpr (J < 7) for_each_nibble<J + 1>(words, scale, offset, use);
}

/// A group expanded into out, (steps, 32).
template <bool IsFourBits>
void expand(const Group& group, std::int64_t steps, float* out) {
#pragma GCC unroll 4
  for (int c = 0; c < panel_registers; ++c) {
    const Register scale = group.scale(c), offset = group.offset(c);
    float* to = out + c * width;
    if constexpr (IsFourBits) {
      const std::byte* from = group.codes() + c * width * 4;
      for (std::int64_t i = 0; i < steps; i += 8, from += columns * 4)
        for_each_nibble(simd::load_words(from), scale, offset,
                        [&](int j, Register w) { simd::store_register(to + (i + j) * columns, w); });
    } else {
      const std::byte* from = group.codes() + c * width;
      for (std::int64_t i = 0; i < steps; ++i, from += columns)
        simd::store_register(to + i * columns, simd::fma(simd::load_bytes(from), scale, offset));
    }
  }
}

/// sums (R, 32) = x (R, K) panel^T with the weights in registers only, C of them across at a time.
template <bool IsFourBits, int R, int C>
void few_rows(const float* x, std::int64_t ldx, const CodePanel& panel, float* sums) {
  const std::int64_t bytes = group_bytes(panel);
  for (int first = 0; first < panel_registers; first += C) {
    Register s[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) s[r][c] = simd::splat_register(0.0f);
    Group group{panel.data};
    for (std::int64_t k = 0; k < panel.k; k += panel.group, group.data += bytes) {
      if (first == 0) fetch(group.data + 4096, bytes);
      Register scale[C], offset[C];
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        scale[c] = group.scale(first + c);
        offset[c] = group.offset(first + c);
      }
      if constexpr (IsFourBits) {
        for (std::int64_t i = 0; i < panel.group; i += 8) {
          const std::byte* from = group.codes() + (i / 8 * columns + first * width) * 4;
#pragma GCC unroll 4
          for (int c = 0; c < C; ++c)
            for_each_nibble(simd::load_words(from + c * width * 4), scale[c], offset[c],
                            [&](int j, Register w) {
#pragma GCC unroll 8
                              for (int r = 0; r < R; ++r)
                                s[r][c] = simd::fma(simd::splat_register(x[r * ldx + k + i + j]), w, s[r][c]);
                            });
        }
      } else {
        const std::byte* from = group.codes() + first * width;
        for (std::int64_t i = 0; i < panel.group; ++i, from += columns)
#pragma GCC unroll 4
          for (int c = 0; c < C; ++c) {
            const Register w = simd::fma(simd::load_bytes(from + c * width), scale[c], offset[c]);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r)
              s[r][c] = simd::fma(simd::splat_register(x[r * ldx + k + i]), w, s[r][c]);
          }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) simd::store_register(sums + r * columns + (first + c) * width, s[r][c]);
  }
}

/// Each chunk is expanded into the first cache, where all rows use it.
template <bool IsFourBits>
void many_rows(const float* x, std::int64_t ldx, std::int64_t rows, const CodePanel& panel, float* sums) {
  using product::chunk_steps;
  alignas(64) float expanded[chunk_steps * columns];
  const std::int64_t bytes = group_bytes(panel);
  Group group{panel.data};
  for (std::int64_t k = 0; k < panel.k; k += chunk_steps) {
    const std::int64_t length = simd::least(chunk_steps, panel.k - k);
    for (std::int64_t i = 0; i < length; i += panel.group, group.data += bytes) {
      fetch(group.data + 4096, bytes);
      expand<IsFourBits>(group, panel.group, expanded + i * columns);
    }
    product::chunk<product::FloatSteps>(x + k, ldx, rows, reinterpret_cast<const std::byte*>(expanded),
                                        length, k == 0, nullptr, sums);
  }
}

template <bool IsFourBits>
void tile(const float* x, std::int64_t ldx, std::int64_t rows, const CodePanel& panel, float* sums) {
  switch (rows) {
    case 1:
      return few_rows<IsFourBits, 1, product::registers_across<1>>(x, ldx, panel, sums);
    case 2:
      return few_rows<IsFourBits, 2, 2>(x, ldx, panel, sums);
    case 3:
      return few_rows<IsFourBits, 3, 2>(x, ldx, panel, sums);
    case 4:
      return few_rows<IsFourBits, 4, 2>(x, ldx, panel, sums);
    default:
      return many_rows<IsFourBits>(x, ldx, rows, panel, sums);
  }
}

inline void tile_codes(const float* x, std::int64_t ldx, std::int64_t rows, const CodePanel& panel,
                       float* sums) {
  if (panel.is_four_bits)
    tile<true>(x, ldx, rows, panel, sums);
  else
    tile<false>(x, ldx, rows, panel, sums);
}

}  // namespace twistor::device::TWISTOR_ISA::codes
