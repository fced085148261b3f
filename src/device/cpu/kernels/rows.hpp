// SPDX-License-Identifier: Apache-2.0
// Row kernels; each walks its row in one fixed order, so results do not depend on neighbours.
#pragma once

#include "simd.hpp"

namespace twistor::device::TWISTOR_ISA::rows {

using simd::F16;
using simd::fma;
using simd::lanes;
using simd::splat;

/// Calls body(offset, count) over [0, n) in steps of one vector; the last may be partial.
template <class Body>
TWISTOR_INLINE void for_each_vector(std::int64_t n, const Body& body) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, lanes);  // a constant count: no loop over lanes
  if (i < n) body(i, n - i);
}

/// x = f(x) on n values.
template <class F>
TWISTOR_INLINE void transform(float* x, std::int64_t n, const F& f) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(x + i, f(simd::load_part(x + i, c, 0.0f)), c);
  });
}

TWISTOR_INLINE float square_root(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

inline void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t n,
                       float* out) {
  F16 total = simd::zero(), squares = simd::zero();
  for_each_vector(n,
                  [&](std::int64_t i, std::int64_t c) { total = total + simd::load_part(x + i, c, 0.0f); });
  const float mean = simd::sum(total) / static_cast<float>(n);
  const F16 shift = splat(mean);
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 centred = simd::load_part(x + i, c, mean) - shift;
    squares = fma(centred, centred, squares);
  });
  const F16 scale = splat(1.0f / square_root(simd::sum(squares) / static_cast<float>(n) + eps));
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 normal = (simd::load_part(x + i, c, 0.0f) - shift) * scale;
    simd::store_part(
        out + i, fma(normal, simd::load_part(weight + i, c, 0.0f), simd::load_part(bias + i, c, 0.0f)), c);
  });
}

inline void rms_norm(const float* x, const float* weight, float eps, std::int64_t n, float* out) {
  F16 squares = simd::zero();
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 v = simd::load_part(x + i, c, 0.0f);
    squares = fma(v, v, squares);
  });
  const F16 scale = splat(1.0f / square_root(simd::sum(squares) / static_cast<float>(n) + eps));
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(out + i, simd::load_part(x + i, c, 0.0f) * scale * simd::load_part(weight + i, c, 0.0f),
                     c);
  });
}

inline void gelu_tanh(float* x, std::int64_t n) {
  transform(x, n, [](F16 v) {
    const F16 inner = splat(0.7978845608f) * fma(splat(0.044715f) * v * v, v, v);
    return splat(0.5f) * v * (splat(1.0f) + simd::tanh(inner));
  });
}

inline void gelu_erf(float* x, std::int64_t n) {
  transform(x, n, [](F16 v) {
    const F16 one = splat(1.0f), half = splat(0.5f);
    const F16 z = simd::max(v, -v) * splat(0.70710678f);
    // erfc(z) = exp(-z^2) t P(t), t = 1 / (1 + 0.35 z): P is the polynomial of the smallest relative error on
    // 0 <= z <= 12, found by reweighted least squares; 9e-9 before rounding.
    const F16 t = one / fma(splat(0.35f), z, one);
    F16 p = splat(0.0406091029f);
    p = fma(p, t, splat(-0.17117401f));
    p = fma(p, t, splat(0.2109216f));
    p = fma(p, t, splat(-0.0679818579f));
    p = fma(p, t, splat(0.121434411f));
    p = fma(p, t, splat(0.127019063f));
    p = fma(p, t, splat(0.157974591f));
    p = fma(p, t, splat(0.186397113f));
    p = fma(p, t, splat(0.197326267f));
    p = fma(p, t, splat(0.197473728f));
    const F16 tail = half * p * t * simd::exp(-z * z);  // Phi(-|x|), accurate where it is small
    return v * simd::select_less(v, simd::zero(), tail, one - tail);
  });
}

inline void relu(float* x, std::int64_t n) {
  transform(x, n, [](F16 v) { return simd::max(v, simd::zero()); });
}

inline void tanh(float* x, std::int64_t n) {
  transform(x, n, [](F16 v) { return simd::tanh(v); });
}

inline void silu(float* x, std::int64_t n) {
  transform(x, n, [](F16 v) { return v / (splat(1.0f) + simd::exp(-v)); });
}

inline void soft_cap(float* x, std::int64_t n, float cap) {
  transform(x, n, [caps = splat(cap)](F16 v) { return simd::soft_cap(v, caps); });
}

inline void times(const float* a, const float* b, std::int64_t n, float* out) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(out + i, simd::load_part(a + i, c, 0.0f) * simd::load_part(b + i, c, 0.0f), c);
  });
}

inline void rotate(float* head, const float* cosine, const float* sine, std::int64_t pairs,
                   bool is_interleaved) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    float& a = head[is_interleaved ? 2 * i : i];
    float& b = head[is_interleaved ? 2 * i + 1 : i + pairs];
    const float x = a, y = b;
    a = __builtin_fmaf(x, cosine[i], -(y * sine[i]));
    b = __builtin_fmaf(x, sine[i], y * cosine[i]);
  }
}

/// Largest of n values, NaN skipped.
inline float max_of(const float* x, std::int64_t n) {
  F16 top = splat(-simd::infinity);
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    top = simd::max(simd::load_part(x + i, c, -simd::infinity), top);
  });
  return simd::max_lane(top);
}

inline float sum_exp(const float* x, std::int64_t n, float shift) {
  F16 total = simd::zero();
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    total = total + simd::exp(simd::load_part(x + i, c, -simd::infinity) - splat(shift));
  });
  return simd::sum(total);
}

inline void exp_of(const float* x, std::int64_t n, float shift, float* out) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(out + i, simd::exp(simd::load_part(x + i, c, -simd::infinity) - splat(shift)), c);
  });
}

}  // namespace twistor::device::TWISTOR_ISA::rows
