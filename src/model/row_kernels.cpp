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
  for (std::int64_t i = 0; i < n; i += lanes) body(i, std::min(lanes, n - i));
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

void silu_times(const float* gate, const float* up, std::int64_t n, float* out) {
  for_each_vector(n, [&](std::int64_t i, std::int64_t c) {
    const F16 g = simd::load_part(gate + i, c, 0.0f);
    simd::store_part(out + i, g / (1.0f + simd::exp(-g)) * simd::load_part(up + i, c, 0.0f), c);
  });
}

RotaryTable::RotaryTable(std::int64_t context, std::int64_t rotary_dims, double base)
    : pairs(rotary_dims / 2),
      cosine(static_cast<std::size_t>(context * pairs)),
      sine(static_cast<std::size_t>(context * pairs)) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const double frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(rotary_dims));
    for (std::int64_t p = 0; p < context; ++p) {
      const double angle = static_cast<double>(p) * frequency;
      cosine[static_cast<std::size_t>(p * pairs + i)] = static_cast<float>(std::cos(angle));
      sine[static_cast<std::size_t>(p * pairs + i)] = static_cast<float>(std::sin(angle));
    }
  }
}

void rotate(float* head, const RotaryTable& table, std::int64_t position, bool is_interleaved) {
  const float* cosine = table.cosine.data() + position * table.pairs;
  const float* sine = table.sine.data() + position * table.pairs;
  for (std::int64_t i = 0; i < table.pairs; ++i) {
    float& a = head[is_interleaved ? 2 * i : i];
    float& b = head[is_interleaved ? 2 * i + 1 : i + table.pairs];
    const float x = a, y = b;
    a = x * cosine[i] - y * sine[i];
    b = x * sine[i] + y * cosine[i];
  }
}

}  // namespace twistor::model::rows
