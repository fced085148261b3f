// Sixteen float32 lanes and the elementary functions on them. Private to the kernels.
#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstring>

namespace twistor::model::simd {

// GCC's vector extension: AVX-512, AVX2, NEON or plain code, the same arithmetic on each. Files that include
// this are compiled with -ffp-contract=fast, so a * b + c is one rounding wherever the machine has FMA.
using F16 = float __attribute__((vector_size(64)));
using I16 = std::int32_t __attribute__((vector_size(64)));
inline constexpr std::int64_t lanes = 16;

#define TWISTOR_INLINE [[gnu::always_inline]] inline

TWISTOR_INLINE F16 load(const float* p) {
  F16 v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
TWISTOR_INLINE void store(float* p, F16 v) {
  std::memcpy(p, &v, sizeof v);
}
TWISTOR_INLINE F16 splat(float x) {
  return F16{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};  // not F16{} + x: that adds
}

/// First `count` lanes from memory, the rest filled: a row's tail takes the same code path as its body.
TWISTOR_INLINE F16 load_part(const float* p, std::int64_t count, float fill) {
  if (count == lanes) return load(p);  // a copy of variable size is a call
  F16 v = splat(fill);
  std::memcpy(&v, p, static_cast<std::size_t>(count) * sizeof(float));
  return v;
}
TWISTOR_INLINE void store_part(float* p, F16 v, std::int64_t count) {
  if (count == lanes)
    store(p, v);
  else
    std::memcpy(p, &v, static_cast<std::size_t>(count) * sizeof(float));
}

TWISTOR_INLINE F16 max(F16 a, F16 b) {
  return a > b ? a : b;
}
TWISTOR_INLINE F16 min(F16 a, F16 b) {
  return a < b ? a : b;
}

/// Sum over lanes in a fixed tree.
TWISTOR_INLINE float sum(F16 v) {
  float x[16];
  store(x, v);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) x[i] += x[i + width];
  return x[0];
}
TWISTOR_INLINE float max_lane(F16 v) {
  float x[16];
  store(x, v);
  float top = x[0];
  for (int i = 1; i < 16; ++i) top = x[i] > top ? x[i] : top;
  return top;
}

/// exp(x), relative error below 2e-7 on the whole range; 0 below -87.3, so -inf gives 0.
TWISTOR_INLINE F16 exp(F16 x) {
  const F16 low = splat(-87.3f), high = splat(88.3f);
  const F16 clamped = min(max(x, low), high);
  const F16 magic =
      splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const F16 shifted = clamped * 1.44269504f + magic;
  const F16 n = shifted - magic;
  F16 r = clamped - n * 0.693145752f;
  r = r - n * 1.42860677e-6f;
  F16 p = splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const I16 power = __builtin_convertvector(n, I16) << 23;
  I16 bits;
  std::memcpy(&bits, &p, sizeof bits);
  bits += power;
  F16 result;
  std::memcpy(&result, &bits, sizeof result);
  return x < low ? F16{} : result;
}

/// tanh(x) = 1 - 2 / (exp(2x) + 1).
TWISTOR_INLINE F16 tanh(F16 x) {
  return 1.0f - 2.0f / (exp(x * 2.0f) + 1.0f);
}

/// cap tanh(x / cap), relative error below 3e-7: small values would lose their last bits in tanh().
TWISTOR_INLINE F16 soft_cap(F16 x, float cap) {
  const F16 t = x / cap, s = t * t;
  F16 p = splat(-1382.0f / 155925.0f);  // tanh's own series, up to t^11
  p = p * s + 62.0f / 2835.0f;
  p = p * s - 17.0f / 315.0f;
  p = p * s + 2.0f / 15.0f;
  p = p * s - 1.0f / 3.0f;
  return s < 0.09f ? x * s * p + x : cap * tanh(t);
}

/// Upper 16 bits of a float32, rounded to nearest even.
TWISTOR_INLINE std::uint16_t to_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}
TWISTOR_INLINE float from_bf16(std::uint16_t x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// Sixteen signed bytes as float32 lanes.
TWISTOR_INLINE F16 load(const std::int8_t* p) {
#if defined(__AVX512F__)  // the compiler's own conversion goes by quarters; GCC 12 warns of the unmasked ones
  return reinterpret_cast<F16>(_mm512_maskz_cvtepi32_ps(
      0xFFFF, _mm512_maskz_cvtepi8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))));
#else
  using I8 = std::int8_t __attribute__((vector_size(16)));
  I8 bytes;
  std::memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, F16);
#endif
}
/// Sixteen bfloat16 as float32 lanes.
TWISTOR_INLINE F16 load(const std::uint16_t* p) {
#if defined(__AVX512F__)
  return reinterpret_cast<F16>(_mm512_maskz_slli_epi32(
      0xFFFF, _mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))),
      16));
#else
  using U16 = std::uint16_t __attribute__((vector_size(32)));
  using U32 = std::uint32_t __attribute__((vector_size(64)));
  U16 half;
  std::memcpy(&half, p, sizeof half);
  const U32 wide = __builtin_convertvector(half, U32) << 16;
  F16 value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
#endif
}

}  // namespace twistor::model::simd
