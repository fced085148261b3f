// Row kernels; each walks its row in one fixed order, so results do not depend on neighbours.
#include "row_kernels.hpp"

#include <algorithm>
#include <cmath>

#include "simd.hpp"

namespace twistor::model::rows {
namespace {

using simd::F16;
using simd::lanes;

/// Calls body(offset, count) over [0, n) in steps of one vector; the last may be partial.
template <class Body>
void for_each_vector(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i, lanes);  // a constant count: no call of memcpy
  if (i < n) body(i, n - i);
}

float mean_of(const float* x, std::int64_t n) {
  F16 total{};
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) { total += simd::load_part(x + i, c, 0.0f); });
  return simd::sum(total) / static_cast<float>(n);
}

}  // namespace

void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t d,
                float* out) {
  const float mean = mean_of(x, d);
  F16 squares{};
  for_each_vector(d, [&](std::int64_t i, std::int64_t c) {
    const F16 centred = simd::load_part(x + i, c, mean) - mean;
    squares = centred * centred + squares;
  });
  const float scale = 1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(d) + eps);
  for_each_vector(d, [&](std::int64_t i, std::int64_t c) {
    const F16 normal = (simd::load_part(x + i, c, 0.0f) - mean) * scale;
    simd::store_part(out + i,
                     normal * simd::load_part(weight + i, c, 0.0f) + simd::load_part(bias + i, c, 0.0f), c);
  });
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t d, float* out) {
  F16 squares{};
  for_each_vector(d, [&](std::int64_t i, std::int64_t c) {
    const F16 v = simd::load_part(x + i, c, 0.0f);
    squares = v * v + squares;
  });
  const float scale = 1.0f / std::sqrt(simd::sum(squares) / static_cast<float>(d) + eps);
  for_each_vector(d, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(out + i, simd::load_part(x + i, c, 0.0f) * scale * simd::load_part(weight + i, c, 0.0f),
                     c);
  });
}

void gelu_tanh(float* x, std::int64_t n) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 v = simd::load_part(x + i, c, 0.0f);
    const F16 inner = 0.7978845608f * (v + 0.044715f * v * v * v);
    simd::store_part(x + i, 0.5f * v * (1.0f + simd::tanh(inner)), c);
  });
}

void gelu_erf(float* x, std::int64_t n) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 v = simd::load_part(x + i, c, 0.0f);
    const F16 z = simd::max(v, -v) * 0.70710678f;
    // erfc(z) = exp(-z^2) t P(t), t = 1 / (1 + 0.35 z): P is the polynomial of the smallest relative error on
    // 0 <= z <= 12, found by reweighted least squares; 9e-9 before rounding.
    const F16 t = 1.0f / (1.0f + 0.35f * z);
    F16 p = simd::splat(0.0406091029f);
    for (const float coefficient : {-0.17117401f, 0.2109216f, -0.0679818579f, 0.121434411f, 0.127019063f,
                                    0.157974591f, 0.186397113f, 0.197326267f, 0.197473728f})
      p = p * t + coefficient;
    const F16 tail = 0.5f * p * t * simd::exp(-z * z);  // Phi(-|x|), accurate where it is small
    simd::store_part(x + i, v * (v < 0.0f ? tail : 1.0f - tail), c);
  });
}

void relu(float* x, std::int64_t n) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(x + i, simd::max(simd::load_part(x + i, c, 0.0f), F16{}), c);
  });
}

void tanh(float* x, std::int64_t n) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(x + i, simd::tanh(simd::load_part(x + i, c, 0.0f)), c);
  });
}

void silu(float* x, std::int64_t n) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 v = simd::load_part(x + i, c, 0.0f);
    simd::store_part(x + i, v / (1.0f + simd::exp(-v)), c);
  });
}

void soft_cap(float* x, std::int64_t n, float cap) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(x + i, simd::soft_cap(simd::load_part(x + i, c, 0.0f), cap), c);
  });
}

void times(const float* a, const float* b, std::int64_t n, float* out) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    simd::store_part(out + i, simd::load_part(a + i, c, 0.0f) * simd::load_part(b + i, c, 0.0f), c);
  });
}

RotaryRows::RotaryRows(std::span<const double> frequencies, double magnitude,
                       std::span<const std::int64_t> positions)
    : pairs(static_cast<std::int64_t>(frequencies.size())) {
  cosine.reserve(frequencies.size() * positions.size());
  sine.reserve(frequencies.size() * positions.size());
  for (const std::int64_t position : positions)
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      cosine.push_back(static_cast<float>(magnitude * std::cos(angle)));
      sine.push_back(static_cast<float>(magnitude * std::sin(angle)));
    }
}

void rotate(float* head, const RotaryRows& angles, std::int64_t row, bool is_interleaved) {
  const std::int64_t pairs = angles.pairs;
  const float* cosine = angles.cosine.data() + row * pairs;
  const float* sine = angles.sine.data() + row * pairs;
  for (std::int64_t i = 0; i < pairs; ++i) {
    float& a = head[is_interleaved ? 2 * i : i];
    float& b = head[is_interleaved ? 2 * i + 1 : i + pairs];
    const float x = a, y = b;
    a = x * cosine[i] - y * sine[i];
    b = x * sine[i] + y * cosine[i];
  }
}

}  // namespace twistor::model::rows
