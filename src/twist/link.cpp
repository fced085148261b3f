// SPDX-License-Identifier: Apache-2.0
// The logistic link.
#include "link.hpp"

#include <ATen/ops/log_sigmoid.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "twistor/base/parallel.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::twist {
namespace {

/// log(1 + y) for 0 <= y <= 1 by the series of 2 artanh(y / (2 + y)): the argument is at most 1/3, so that
/// what is left out is below 1e-9.
float log_1_plus(float y) {
  const float s = y / (2.0f + y), s2 = s * s;
  float sum = 1.0f / 15.0f;
  for (const float k : {13.0f, 11.0f, 9.0f, 7.0f, 5.0f, 3.0f, 1.0f}) sum = sum * s2 + 1.0f / k;
  return 2.0f * s * sum;
}

void log_sigmoid_row(float* x, std::int64_t n) {
  constexpr std::int64_t block = 256;
  std::array<float, block> y;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t size = std::min(block, n - begin);
    for (std::int64_t i = 0; i < size; ++i) y[static_cast<std::size_t>(i)] = -std::abs(x[begin + i]);
    device::kernels().exp_of(y.data(), size, 0.0f, y.data());
    for (std::int64_t i = 0; i < size; ++i)
      x[begin + i] = std::min(x[begin + i], 0.0f) - log_1_plus(y[static_cast<std::size_t>(i)]);
  }
}

}  // namespace

void log_sigmoid(at::Tensor& x, std::int64_t width) {
  if (!x.device().is_cpu()) {
    const at::Tensor columns = x.narrow(1, 0, width);
    columns.copy_(at::log_sigmoid(columns));
    return;
  }
  const std::int64_t n = x.size(0), stride = x.stride(0);
  float* const values = x.mutable_data_ptr<float>();
  parallel_for(n, n * width > 20000,
               [&](std::int64_t row) { log_sigmoid_row(values + row * stride, width); });
}

}  // namespace twistor::twist
