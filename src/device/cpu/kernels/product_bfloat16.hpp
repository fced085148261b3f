// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16: by tiles, by instructions for pairs of them, or as float32 of rounded numbers.
#pragma once

#include "product.hpp"
#if defined(__AMX_BF16__)
#include "tiles_amx.hpp"
#endif

namespace twistor::device::TWISTOR_ISA::product {

#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
/// A step of a pair of neighbouring bfloat16 of x and 32 such pairs of the panel.
struct PairSteps {
  using X = std::uint32_t;
  static constexpr int per_step = 1;
  template <int R, int C>
  TWISTOR_INLINE static void step(const X* const* x, std::int64_t ldx, const std::byte* w,
                                  Register (&sums)[R][C]) {
    __m512bh panel[C];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) panel[c] = (__m512bh)simd::load_words(w + 64 * c);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto value = (__m512bh)_mm512_set1_epi32(static_cast<int>(x[r / 3][(r % 3) * ldx]));
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) sums[r][c] = _mm512_dpbf16_ps(sums[r][c], value, panel[c]);
    }
  }
};
#elif !defined(__AVX512BF16__)
/// The same without such instructions: x are numbers rounded to bfloat16, two a step.
struct PairSteps {
  using X = float;
  static constexpr int per_step = 2;
  template <int R, int C>
  TWISTOR_INLINE static void step(const X* const* x, std::int64_t ldx, const std::byte* w,
                                  Register (&sums)[R][C]) {
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      const Integers pairs = simd::load_words(w + c * static_cast<int>(sizeof(Integers)));
      const Register low = simd::low_half(pairs), high = simd::high_half(pairs);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const X* numbers = x[r / 3] + (r % 3) * ldx;
        sums[r][c] = simd::fma(simd::splat_register(numbers[0]), low, sums[r][c]);
        sums[r][c] = simd::fma(simd::splat_register(numbers[1]), high, sums[r][c]);
      }
    }
  }
};
#endif

/// Rounded to nearest even, as the upper half of the bits.
TWISTOR_INLINE std::uint32_t rounded_bits(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
}

#if defined(__AVX512BF16__)

/// Pairs of neighbours; the last of an odd row is paired with zero.
inline void write_pairs(const float* x, std::int64_t k, std::uint32_t* out) {
  for (std::int64_t p = 0; p < k / 2; ++p)
    out[p] = (rounded_bits(x[2 * p]) >> 16) | rounded_bits(x[2 * p + 1]);
  if (k % 2 != 0) out[k / 2] = rounded_bits(x[k - 1]) >> 16;
}

#endif

#if defined(__AMX_BF16__)

inline std::int64_t prepared_words(std::int64_t k) {
  return words_of_tiles(k);
}
inline void prepare_bfloat16(const float* x, std::int64_t k, std::uint32_t* out) {
  write_pairs(x, k, out);
  for (std::int64_t p = (k + 1) / 2; p < prepared_words(k); ++p) out[p] = 0;
}
inline void tile_bfloat16(const std::uint32_t* x, std::int64_t rows, const std::byte* panel, std::int64_t k,
                          float* sums) {
  sum_by_tiles<AmxTiles>(x, rows, panel, k, sums);
}

#elif defined(__AVX512BF16__)

inline std::int64_t prepared_words(std::int64_t k) {
  return (k + 1) / 2;
}
inline void prepare_bfloat16(const float* x, std::int64_t k, std::uint32_t* out) {
  write_pairs(x, k, out);
}
inline void tile_bfloat16(const std::uint32_t* x, std::int64_t rows, const std::byte* panel, std::int64_t k,
                          float* sums) {
  const std::int64_t steps = (k + 1) / 2;
  tile<PairSteps>(x, steps, rows, panel, steps, sums);
}

#else

/// As float32; the last of an odd row is followed by zero.
inline std::int64_t prepared_words(std::int64_t k) {
  return (k + 1) / 2 * 2;
}
inline void prepare_bfloat16(const float* x, std::int64_t k, std::uint32_t* out) {
  for (std::int64_t i = 0; i < k; ++i) out[i] = rounded_bits(x[i]);
  if (k % 2 != 0) out[k] = 0;
}
/// Few rows read the pairs as they are. For more, each chunk is expanded into the first cache, where it
/// serves them all; the chain of a sum is the same.
inline void tile_bfloat16(const std::uint32_t* x, std::int64_t rows, const std::byte* panel, std::int64_t k,
                          float* sums) {
  const std::int64_t steps = (k + 1) / 2, ldx = 2 * steps;
  const auto* numbers = reinterpret_cast<const float*>(x);
  if (rows <= 3) return tile<PairSteps>(numbers, ldx, rows, panel, steps, sums);
  alignas(64) float expanded[chunk_steps * columns];
  for (std::int64_t p = 0; p < steps; p += chunk_steps / 2) {
    const std::int64_t length = simd::least(chunk_steps / 2, steps - p);
    for (std::int64_t i = 0; i < length; ++i) {
      const std::byte* w = panel + (p + i) * step_bytes;
      __builtin_prefetch(w + 4096, 0, 2);
      __builtin_prefetch(w + 4096 + 64, 0, 2);
#pragma GCC unroll 4
      for (int c = 0; c < panel_registers; ++c) {
        const Integers pairs = simd::load_words(w + c * static_cast<int>(sizeof(Integers)));
        simd::store_register(expanded + 2 * i * columns + c * width, simd::low_half(pairs));
        simd::store_register(expanded + (2 * i + 1) * columns + c * width, simd::high_half(pairs));
      }
    }
    chunk<FloatSteps>(numbers + 2 * p, ldx, rows, reinterpret_cast<const std::byte*>(expanded), 2 * length,
                      p == 0, nullptr, sums);
  }
}

#endif

}  // namespace twistor::device::TWISTOR_ISA::product
