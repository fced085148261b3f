// SPDX-License-Identifier: Apache-2.0
// Adam against its formulas in float64, and the row form against the dense one.
#include <gtest/gtest.h>

#include <cmath>

#include "twistor/base/philox.hpp"
#include "twistor/learn/adam.hpp"

namespace twistor::learn {
namespace {

TEST(Adam, FollowsThePublishedUpdate) {
  const AdamOptions options{0.01, 0.9, 0.999, 1e-8};
  Philox random(1, Stream::test, 0, 0);
  std::vector<float> p{1.0f, -2.0f, 0.5f};
  std::vector<double> expected(p.begin(), p.end()), m(3), v(3);
  AdamMoments moments;
  for (std::int64_t step = 1; step <= 50; ++step) {
    std::vector<float> g(3);
    for (float& x : g) x = static_cast<float>(random.normal());
    adam_step(options, step, g, p, moments);
    for (std::size_t i = 0; i < 3; ++i) {
      const double gradient = static_cast<double>(g[i]);
      m[i] = 0.9 * m[i] + 0.1 * gradient;
      v[i] = 0.999 * v[i] + 0.001 * gradient * gradient;
      const double n = static_cast<double>(step);
      expected[i] -=
          0.01 * (m[i] / (1 - std::pow(0.9, n))) / (std::sqrt(v[i] / (1 - std::pow(0.999, n))) + 1e-8);
      EXPECT_NEAR(static_cast<double>(p[i]), expected[i], 1e-4);
    }
  }
}

TEST(Adam, RowsGiveTheBitsOfTheDenseStep) {
  constexpr std::int64_t V = 37, D = 21;
  Philox random(2, Stream::test, 0, 0);
  std::vector<float> weight(V * D);
  for (float& x : weight) x = static_cast<float>(random.normal());
  std::vector<float> weight2 = weight;
  AdamMoments moments, moments2;
  for (std::int64_t step = 1; step <= 4; ++step) {
    const std::vector<std::int64_t> rows{step, 10, 36};
    std::vector<float> values(rows.size() * D), dense(V * D);
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::size_t c = 0; c < D; ++c)
        dense[static_cast<std::size_t>(rows[r]) * D + c] = values[r * D + c] =
            static_cast<float>(random.normal());
    adam_rows({}, step, rows, values, D, weight, moments);
    adam_step({}, step, dense, weight2, moments2);
    EXPECT_EQ(weight, weight2);
  }
}

}  // namespace
}  // namespace twistor::learn
