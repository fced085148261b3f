// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes are one register of AVX-512, of which there are thirty-two.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "inline.hpp"

namespace twistor::device::TWISTOR_ISA::simd {

inline constexpr bool has_32_registers = true;
/// A register of float32, and one of int32.
using Register = __m512;
using Integers = __m512i;
using F16 = __m512;

TWISTOR_INLINE F16 load(const float* p) {
  return _mm512_loadu_ps(p);
}
TWISTOR_INLINE void store(float* p, F16 v) {
  _mm512_storeu_ps(p, v);
}
TWISTOR_INLINE F16 splat(float x) {
  return _mm512_set1_ps(x);
}
TWISTOR_INLINE F16 zero() {
  return _mm512_setzero_ps();
}
/// a b + c with one rounding.
TWISTOR_INLINE F16 fma(F16 a, F16 b, F16 c) {
  return _mm512_fmadd_ps(a, b, c);
}
/// a > b ? a : b, so b where either is NaN. (GCC 12 warns of the unmasked intrinsics of this and others.)
TWISTOR_INLINE F16 max(F16 a, F16 b) {
  return _mm512_maskz_max_ps(0xFFFF, a, b);
}
TWISTOR_INLINE F16 min(F16 a, F16 b) {
  return _mm512_maskz_min_ps(0xFFFF, a, b);
}
/// x < bound ? a : b
TWISTOR_INLINE F16 select_less(F16 x, F16 bound, F16 a, F16 b) {
  return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, bound, _CMP_LT_OQ), a);
}
/// v 2^n for whole numbers n.
TWISTOR_INLINE F16 scale_by_power(F16 v, F16 n) {
  const __m512i power = _mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvttps_epi32(0xFFFF, n), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), power));
}
TWISTOR_INLINE float sum(F16 v) {
  // halves, quarters, ...: lane i and lane i + width / 2
  const __m256 a =
      _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, v, 0), _mm512_maskz_extractf32x8_ps(0xFF, v, 1));
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
/// Sixteen bfloat16, or sixteen signed bytes, as float32.
TWISTOR_INLINE F16 load(const std::uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, half), 16));
}
TWISTOR_INLINE Register load_bytes(const std::byte* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm512_maskz_cvtepi32_ps(0xFFFF, _mm512_maskz_cvtepi8_epi32(0xFFFF, bytes));
}
TWISTOR_INLINE Integers load_words(const std::byte* p) {
  return _mm512_loadu_si512(p);
}
/// Bits [4 j, 4 j + 4) as float32.
template <int J>
TWISTOR_INLINE Register nibble(Integers words) {
  return _mm512_maskz_cvtepi32_ps(
      0xFFFF, _mm512_and_si512(_mm512_maskz_srli_epi32(0xFFFF, words, 4 * J), _mm512_set1_epi32(15)));
}
/// The lower or the upper bfloat16 of each pair as float32.
TWISTOR_INLINE Register low_half(Integers pairs) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, pairs, 16));
}
TWISTOR_INLINE Register high_half(Integers pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xFFFF0000u))));
}

inline constexpr std::int64_t register_lanes = 16;
TWISTOR_INLINE Register load_register(const float* p) {
  return load(p);
}
TWISTOR_INLINE void store_register(float* p, Register v) {
  store(p, v);
}
TWISTOR_INLINE Register splat_register(float x) {
  return splat(x);
}

}  // namespace twistor::device::TWISTOR_ISA::simd
