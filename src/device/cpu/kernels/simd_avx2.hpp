// SPDX-License-Identifier: Apache-2.0
// Sixteen lanes are two registers of AVX2, of which there are sixteen.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "inline.hpp"

namespace twistor::device::TWISTOR_ISA::simd {

inline constexpr bool has_32_registers = false;
using Register = __m256;
using Integers = __m256i;

struct F16 {
  __m256 low, high;
};

TWISTOR_INLINE Register load_register(const float* p) {
  return _mm256_loadu_ps(p);
}
TWISTOR_INLINE void store_register(float* p, Register v) {
  _mm256_storeu_ps(p, v);
}
TWISTOR_INLINE Register splat_register(float x) {
  return _mm256_set1_ps(x);
}
TWISTOR_INLINE Register fma(Register a, Register b, Register c) {
  return _mm256_fmadd_ps(a, b, c);
}
TWISTOR_INLINE F16 load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
TWISTOR_INLINE void store(float* p, F16 v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
TWISTOR_INLINE F16 splat(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
TWISTOR_INLINE F16 zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
TWISTOR_INLINE F16 operator+(F16 a, F16 b) {
  return {a.low + b.low, a.high + b.high};
}
TWISTOR_INLINE F16 operator-(F16 a, F16 b) {
  return {a.low - b.low, a.high - b.high};
}
TWISTOR_INLINE F16 operator*(F16 a, F16 b) {
  return {a.low * b.low, a.high * b.high};
}
TWISTOR_INLINE F16 operator/(F16 a, F16 b) {
  return {a.low / b.low, a.high / b.high};
}
TWISTOR_INLINE F16 operator-(F16 a) {
  return {-a.low, -a.high};
}
/// a b + c with one rounding.
TWISTOR_INLINE F16 fma(F16 a, F16 b, F16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
/// a > b ? a : b, so b where either is NaN.
TWISTOR_INLINE F16 max(F16 a, F16 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
TWISTOR_INLINE F16 min(F16 a, F16 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
/// x < bound ? a : b
TWISTOR_INLINE F16 select_less(F16 x, F16 bound, F16 a, F16 b) {
  return {_mm256_blendv_ps(b.low, a.low, _mm256_cmp_ps(x.low, bound.low, _CMP_LT_OQ)),
          _mm256_blendv_ps(b.high, a.high, _mm256_cmp_ps(x.high, bound.high, _CMP_LT_OQ))};
}
/// v 2^n for whole numbers n.
TWISTOR_INLINE Register scale_by_power(Register v, Register n) {
  const __m256i power = _mm256_slli_epi32(_mm256_cvttps_epi32(n), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v), power));
}
TWISTOR_INLINE F16 scale_by_power(F16 v, F16 n) {
  return {scale_by_power(v.low, n.low), scale_by_power(v.high, n.high)};
}
TWISTOR_INLINE float sum(F16 v) {
  const __m256 a = v.low + v.high;
  const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_shuffle_ps(c, c, 1)));
}
TWISTOR_INLINE Register load_bytes(const std::byte* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
/// Eight bfloat16 as float32.
TWISTOR_INLINE Register load_halves(const std::uint16_t* p) {
  const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
/// Sixteen of them.
TWISTOR_INLINE F16 load(const std::uint16_t* p) {
  return {load_halves(p), load_halves(p + 8)};
}
TWISTOR_INLINE Integers load_words(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
/// Bits [4 j, 4 j + 4) as float32.
template <int J>
TWISTOR_INLINE Register nibble(Integers words) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(words, 4 * J), _mm256_set1_epi32(15)));
}
/// The lower or the upper bfloat16 of each pair as float32.
TWISTOR_INLINE Register low_half(Integers pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
TWISTOR_INLINE Register high_half(Integers pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xFFFF0000u))));
}
inline constexpr std::int64_t register_lanes = 8;

}  // namespace twistor::device::TWISTOR_ISA::simd
