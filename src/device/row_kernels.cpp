// SPDX-License-Identifier: Apache-2.0
// Row kernels of the instruction set in use, and the angles of rotary positions.
#include "twistor/device/row_kernels.hpp"

#include <cmath>

#include "twistor/device/kernels.hpp"

namespace twistor::device::rows {

void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t d,
                float* out) {
  kernels().layer_norm(x, weight, bias, eps, d, out);
}
void rms_norm(const float* x, const float* weight, float eps, std::int64_t d, float* out) {
  kernels().rms_norm(x, weight, eps, d, out);
}
void gelu_tanh(float* x, std::int64_t n) {
  kernels().gelu_tanh(x, n);
}
void gelu_erf(float* x, std::int64_t n) {
  kernels().gelu_erf(x, n);
}
void relu(float* x, std::int64_t n) {
  kernels().relu(x, n);
}
void tanh(float* x, std::int64_t n) {
  kernels().tanh(x, n);
}
void silu(float* x, std::int64_t n) {
  kernels().silu(x, n);
}
void soft_cap(float* x, std::int64_t n, float cap) {
  kernels().soft_cap(x, n, cap);
}
void times(const float* a, const float* b, std::int64_t n, float* out) {
  kernels().times(a, b, n, out);
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
  kernels().rotate(head, angles.cosine.data() + row * angles.pairs, angles.sine.data() + row * angles.pairs,
                   angles.pairs, is_interleaved);
}

}  // namespace twistor::device::rows
