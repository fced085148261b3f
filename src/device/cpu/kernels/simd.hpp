// SPDX-License-Identifier: Apache-2.0
// Sixteen float32 lanes on the registers of one instruction set, and the elementary functions on them.
//
// Kernels are compiled once for each instruction set, in a namespace of its name: the linker must never take
// an AVX-512 copy of a function for the program that runs on AVX2. So nothing here, and nothing that includes
// it, uses inline functions of other headers (test kernel_symbols). What may be fused is written as fma: the
// compiler fuses nothing by itself, and all sets give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "inline.hpp"
#if defined(__AVX512F__)
#include "simd_avx512.hpp"
#else
#include "simd_avx2.hpp"
#endif

namespace twistor::device::TWISTOR_ISA::simd {

inline constexpr std::int64_t lanes = 16;
inline constexpr float infinity = __builtin_inff();

TWISTOR_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

/// First `count` lanes from memory, the rest filled: a row's tail takes the same path as its body.
TWISTOR_INLINE F16 load_part(const float* p, std::int64_t count, float fill) {
  if (count == lanes) return load(p);  // a copy of variable size is a call
  float x[lanes];
  for (std::int64_t i = 0; i < lanes; ++i) x[i] = i < count ? p[i] : fill;
  return load(x);
}
TWISTOR_INLINE void store_part(float* p, F16 v, std::int64_t count) {
  if (count == lanes) return store(p, v);
  float x[lanes];
  store(x, v);
  for (std::int64_t i = 0; i < count; ++i) p[i] = x[i];
}

TWISTOR_INLINE float max_lane(F16 v) {
  float x[lanes];
  store(x, v);
  float top = x[0];
  for (std::int64_t i = 1; i < lanes; ++i) top = x[i] > top ? x[i] : top;
  return top;
}

/// exp(x), relative error below 2e-7 on the whole range; 0 below -87.3, so -inf gives 0.
TWISTOR_INLINE F16 exp(F16 x) {
  const F16 low = splat(-87.3f), high = splat(88.3f);
  const F16 clamped = min(max(x, low), high);
  const F16 magic =
      splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const F16 n = fma(clamped, splat(1.44269504f), magic) - magic;
  F16 r = fma(n, splat(-0.693145752f), clamped);
  r = fma(n, splat(-1.42860677e-6f), r);
  F16 p = splat(1.0f / 5040.0f);
  p = fma(p, r, splat(1.0f / 720.0f));
  p = fma(p, r, splat(1.0f / 120.0f));
  p = fma(p, r, splat(1.0f / 24.0f));
  p = fma(p, r, splat(1.0f / 6.0f));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  return select_less(x, low, zero(), scale_by_power(p, n));
}

/// tanh(x) = 1 - 2 / (exp(2x) + 1).
TWISTOR_INLINE F16 tanh(F16 x) {
  const F16 one = splat(1.0f), two = splat(2.0f);
  return one - two / (exp(x * two) + one);
}

/// cap tanh(x / cap), relative error below 3e-7: small values would lose their last bits in tanh().
TWISTOR_INLINE F16 soft_cap(F16 x, F16 cap) {
  const F16 t = x / cap, s = t * t;
  F16 p = splat(-1382.0f / 155925.0f);  // tanh's own series, up to t^11
  p = fma(p, s, splat(62.0f / 2835.0f));
  p = fma(p, s, splat(-17.0f / 315.0f));
  p = fma(p, s, splat(2.0f / 15.0f));
  p = fma(p, s, splat(-1.0f / 3.0f));
  return select_less(s, splat(0.09f), fma(x * s, p, x), cap * tanh(t));
}

}  // namespace twistor::device::TWISTOR_ISA::simd
