// SPDX-License-Identifier: Apache-2.0
// Adam, one pass over parameter, gradient and moments.
#include "twistor/learn/adam.hpp"

#include <cmath>

#include "twistor/base/error.hpp"

namespace twistor::learn {
namespace {

/// The constants of one step, in float32.
struct Step {
  Step(const AdamOptions& o, std::int64_t step)
      : b1(static_cast<float>(o.beta1)),
        b2(static_cast<float>(o.beta2)),
        c1(static_cast<float>(1.0 - o.beta1)),
        c2(static_cast<float>(1.0 - o.beta2)),
        rate(static_cast<float>(o.learning_rate / (1.0 - std::pow(o.beta1, static_cast<double>(step))))),
        scale(static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, static_cast<double>(step))))),
        epsilon(static_cast<float>(o.epsilon)) {}
  float b1, b2, c1, c2, rate, scale, epsilon;
};

void run(const Step& s, const float* g, float* p, float* m, float* v, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    m[i] = s.b1 * m[i] + s.c1 * g[i];
    v[i] = s.b2 * v[i] + s.c2 * g[i] * g[i];
    p[i] -= s.rate * m[i] / (std::sqrt(v[i]) * s.scale + s.epsilon);
  }
}

void reserve(AdamMoments& moments, std::size_t n) {
  moments.m.resize(n);
  moments.v.resize(n);
}

}  // namespace

void adam_step(const AdamOptions& options, std::int64_t step, std::span<const float> gradient,
               std::span<float> parameter, AdamMoments& moments) {
  TWISTOR_ASSERT(gradient.size() == parameter.size(), "a gradient must have its parameter's size");
  reserve(moments, parameter.size());
  run(Step(options, step), gradient.data(), parameter.data(), moments.m.data(), moments.v.data(),
      static_cast<std::int64_t>(parameter.size()));
}

void adam_rows(const AdamOptions& options, std::int64_t step, std::span<const std::int64_t> rows,
               std::span<const float> row_values, std::int64_t width, std::span<float> parameter,
               AdamMoments& moments) {
  TWISTOR_ASSERT(row_values.size() == rows.size() * static_cast<std::size_t>(width),
                 "a row-sparse gradient must have its parameter's width");
  const auto n_rows = static_cast<std::int64_t>(parameter.size()) / width;
  reserve(moments, parameter.size());
  const Step s(options, step);
  std::vector<std::int64_t> place(static_cast<std::size_t>(n_rows), -1);
  for (std::size_t i = 0; i < rows.size(); ++i)
    place[static_cast<std::size_t>(rows[i])] = static_cast<std::int64_t>(i);
  const std::vector<float> zeros(static_cast<std::size_t>(width));
#pragma omp parallel for schedule(static) if (n_rows * width > 100000)
  for (std::int64_t r = 0; r < n_rows; ++r) {
    const std::int64_t at = place[static_cast<std::size_t>(r)];
    const float* g = at < 0 ? zeros.data() : row_values.data() + at * width;
    run(s, g, parameter.data() + r * width, moments.m.data() + r * width, moments.v.data() + r * width,
        width);
  }
}

}  // namespace twistor::learn
