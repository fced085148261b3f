// SPDX-License-Identifier: Apache-2.0
// What a model does to single rows between products: norms, activations, rotary positions. A value's bits do
// not depend on its neighbours, nor on the instruction set.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::device::rows {

/// out = (x - mean) / sqrt(var + eps) * weight + bias, each (D); in place allowed.
void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t d,
                float* out);
/// out = x / sqrt(mean(x^2) + eps) * weight.
void rms_norm(const float* x, const float* weight, float eps, std::int64_t d, float* out);
/// gelu, the tanh form of GPT-2 ("gelu_new"), in place on n values.
void gelu_tanh(float* x, std::int64_t n);
/// gelu itself, x Phi(x) with the normal distribution function Phi ("gelu"), in place on n values; absolute
/// error below 3e-7 |x|.
void gelu_erf(float* x, std::int64_t n);
/// max(x, 0) and tanh(x), in place on n values.
void relu(float* x, std::int64_t n);
void tanh(float* x, std::int64_t n);
/// x / (1 + exp(-x)), in place on n values.
void silu(float* x, std::int64_t n);
/// cap tanh(x / cap), in place on n values.
void soft_cap(float* x, std::int64_t n, float cap);
/// out = a b, n values.
void times(const float* a, const float* b, std::int64_t n, float* out);

/// Cosines and sines of rotary positions for some rows, (n, pairs), computed in float64.
struct RotaryRows {
  RotaryRows() = default;
  /// frequencies: radians a position, (pairs); positions: (n).
  RotaryRows(std::span<const double> frequencies, double magnitude, std::span<const std::int64_t> positions);
  std::int64_t pairs = 0;
  std::vector<float> cosine, sine;
};
/// Rotates the first 2 pairs dimensions of one head by row `row` of the angles. Interleaved pairs are (2i, 2i
/// + 1), else (i, i + pairs).
void rotate(float* head, const RotaryRows& angles, std::int64_t row, bool is_interleaved);

}  // namespace twistor::device::rows
