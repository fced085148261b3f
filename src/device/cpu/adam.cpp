// SPDX-License-Identifier: Apache-2.0
// Adam, one pass over parameter, gradient and moments.
#include "adam.hpp"

#include <cmath>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::device {
namespace {

void run(const AdamStep& s, const float* g, float* p, float* m, float* v, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] = s.beta1 * m[i] + s.one_minus_beta1 * g[i];
    v[i] = s.beta2 * v[i] + s.one_minus_beta2 * g[i] * g[i];
    p[i] -= s.rate * m[i] / (std::sqrt(v[i]) * s.scale + s.epsilon);
  }
}

}  // namespace

void adam_in_main_memory(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
                         const at::Tensor& gradient, const AdamTensors& parameter) {
  const float* const g = gradient.const_data_ptr<float>();
  float* const p = parameter.value.mutable_data_ptr<float>();
  float* const m = parameter.m.mutable_data_ptr<float>();
  float* const v = parameter.v.mutable_data_ptr<float>();
  if (!rows) {
    TWISTOR_ASSERT(gradient.numel() == parameter.value.numel(), "a gradient has its parameter's size");
    return run(step, g, p, m, v, parameter.value.numel());
  }
  const std::int64_t n_rows = parameter.value.size(0), width = parameter.value.size(1);
  TWISTOR_ASSERT(gradient.numel() == static_cast<std::int64_t>(rows->size()) * width,
                 "a gradient by rows has its parameter's width");
  std::vector<std::int64_t> place(static_cast<std::size_t>(n_rows), -1);
  for (std::size_t i = 0; i < rows->size(); ++i)
    place[static_cast<std::size_t>((*rows)[i])] = static_cast<std::int64_t>(i);
  const std::vector<float> zeros(static_cast<std::size_t>(width));
#pragma omp parallel for schedule(static) if (n_rows * width > 100000)
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t at = place[static_cast<std::size_t>(r)];
    run(step, at < 0 ? zeros.data() : g + at * width, p + r * width, m + r * width, v + r * width, width);
  }
}

}  // namespace twistor::device
