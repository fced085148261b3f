// SPDX-License-Identifier: Apache-2.0
// Adam against its formulas in float64 on every engine, and the row form against the whole one.
#include "twistor/learn/adam.hpp"

#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "support/engines.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::learn {
namespace {

class Adam : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (engine == nullptr) GTEST_SKIP() << "there is none here";
  }
  [[nodiscard]] device::AdamTensors parameter(std::span<const float> values, at::IntArrayRef shape) const {
    const at::Tensor value = engine->upload(values).view(shape);
    return {value, at::zeros_like(value), at::zeros_like(value)};
  }
  static std::vector<float> random_numbers(std::size_t n, std::uint64_t seed) {
    Philox random(seed, Stream::test, 0, 0);
    std::vector<float> out(n);
    for (float& x : out) x = static_cast<float>(random.normal());
    return out;
  }
  std::shared_ptr<const device::Engine> engine = test::engine_named(GetParam());
};

TEST_P(Adam, FollowsThePublishedUpdate) {
  const AdamOptions options{0.01, 0.9, 0.999, 1e-8};
  const std::vector<float> start = random_numbers(700, 1);  // more than a block of threads
  const device::AdamTensors p = parameter(start, {700});
  std::vector<double> expected(start.begin(), start.end()), m(start.size()), v(start.size());
  for (std::int64_t step = 1; step <= 50; ++step) {
    const std::vector<float> g = random_numbers(start.size(), static_cast<std::uint64_t>(step + 1));
    engine->adam(adam_step(options, step), std::nullopt, engine->upload(g), p);
    const std::vector<float> got = device::to_host(p.value);
    for (std::size_t i = 0; i < start.size(); ++i) {
      const double gradient = static_cast<double>(g[i]);
      m[i] = 0.9 * m[i] + 0.1 * gradient;
      v[i] = 0.999 * v[i] + 0.001 * gradient * gradient;
      const double n = static_cast<double>(step);
      expected[i] -=
          0.01 * (m[i] / (1 - std::pow(0.9, n))) / (std::sqrt(v[i] / (1 - std::pow(0.999, n))) + 1e-8);
      ASSERT_NEAR(static_cast<double>(got[i]), expected[i], 1e-4) << "step " << step << ", number " << i;
    }
  }
}

TEST_P(Adam, RowsGiveTheBitsOfTheWholeGradient) {
  constexpr std::int64_t V = 37, D = 21;
  const std::vector<float> start = random_numbers(V * D, 2);
  const device::AdamTensors by_rows = parameter(start, {V, D}), whole = parameter(start, {V, D});
  const auto step_by = [&](std::int64_t step, const std::vector<std::int64_t>& rows) {
    const std::vector<float> values = random_numbers(rows.size() * D, 3 + static_cast<std::uint64_t>(step));
    std::vector<float> dense(V * D);
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::size_t c = 0; c < D; ++c)
        dense[static_cast<std::size_t>(rows[r]) * D + c] = values[r * D + c];
    engine->adam(adam_step({}, step), rows, engine->upload(values).view({-1, D}), by_rows);
    engine->adam(adam_step({}, step), std::nullopt, engine->upload(dense).view({V, D}), whole);
    EXPECT_EQ(device::to_host(by_rows.value), device::to_host(whole.value)) << "step " << step;
    EXPECT_EQ(device::to_host(by_rows.m), device::to_host(whole.m));
    EXPECT_EQ(device::to_host(by_rows.v), device::to_host(whole.v));
  };
  for (std::int64_t step = 1; step <= 4; ++step) step_by(step, {step, 10, 36});
  const std::vector<float> before = device::to_host(by_rows.value);
  step_by(5, {});  // all move by their moments alone
  EXPECT_NE(device::to_host(by_rows.value), before);
}

INSTANTIATE_TEST_SUITE_P(Engines, Adam, test::every_engine);

}  // namespace
}  // namespace twistor::learn
