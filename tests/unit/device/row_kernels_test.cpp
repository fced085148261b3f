// SPDX-License-Identifier: Apache-2.0
// The kernels on single rows against float64, and their promise that a value does not depend on its
// neighbours.
#include "twistor/device/row_kernels.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace twistor::device::rows {
namespace {

TEST(RowKernels, GeluErfIsTheNormalDistributionTimesX) {
  for (int i = -12000; i <= 12000; ++i) {
    const auto x = static_cast<float>(i) * 1e-3f;
    float y = x;
    gelu_erf(&y, 1);
    const double exact = 0.5 * static_cast<double>(x) * std::erfc(-static_cast<double>(x) / std::sqrt(2.0));
    // A few roundings of 6e-8; exp(-x^2 / 2) is far out known to x^2 / 2 of them.
    EXPECT_LT(std::abs(static_cast<double>(y) - exact), 3e-7 * std::abs(static_cast<double>(x)) + 1e-30) << x;
  }
  std::vector<float> far{-1e30f, -200.0f, 0.0f, 200.0f, 1e10f};
  gelu_erf(far.data(), 5);
  EXPECT_EQ(far, (std::vector<float>{-0.0f, -0.0f, 0.0f, 200.0f, 1e10f}));
}

TEST(RowKernels, SoftCapKeepsSmallValues) {
  for (const float cap : {2.0f, 50.0f})
    for (int i = -4000; i <= 4000; ++i) {
      const float x = static_cast<float>(i) * 0.01f;
      float y = x;
      soft_cap(&y, 1, cap);
      const double exact =
          static_cast<double>(cap) * std::tanh(static_cast<double>(x) / static_cast<double>(cap));
      EXPECT_NEAR(static_cast<double>(y), exact, 6e-7 * std::abs(exact)) << x << " under " << cap;
    }
}

TEST(RowKernels, AValueHasTheSameBitsWhereverItStands) {
  std::vector<float> row(37);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = 0.3f * static_cast<float>(i) - 5.0f;
  for (void (*kernel)(float*, std::int64_t) : {&gelu_tanh, &gelu_erf}) {
    std::vector<float> whole = row;
    kernel(whole.data(), 37);
    for (std::size_t i = 0; i < row.size(); ++i) {
      float alone = row[i];
      kernel(&alone, 1);
      EXPECT_EQ(alone, whole[i]) << i;
    }
  }
}

}  // namespace
}  // namespace twistor::device::rows
