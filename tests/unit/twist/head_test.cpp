// Head twists: gradients against finite differences, chosen tokens against whole rows, reproducible starts.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::twist {
namespace {

constexpr std::int64_t D = 12, V = 40, n = 9;

class Head : public testing::TestWithParam<const char*> {
 protected:
  HeadTwist twist{GetParam(), D, V, device::Precision::float32, 1.0, 3};
  at::Tensor hidden = fixed_normal();

  static at::Tensor fixed_normal() {
    at::Tensor out = at::empty({n, D}, at::kFloat);
    Philox random(5, Stream::test, 0, 0);
    for (std::int64_t i = 0; i < n * D; ++i)
      out.mutable_data_ptr<float>()[i] = static_cast<float>(random.normal());
    return out;
  }

  std::vector<std::int64_t> tokens{0, 5, 39, 5, 5, 12, 31, 32, 33};
  std::vector<double> weight{0.5, -1.0, 0.25, 2.0, 0.1, -0.7, 0.3, 0.9, -0.2};

  [[nodiscard]] double loss() const {
    const std::vector<double> log_psi = log_psi_at(twist, twist.features(hidden), tokens);
    double sum = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) sum += weight[i] * log_psi[i];
    return sum;
  }
};

TEST_P(Head, GradientIsThatOfFiniteDifferences) {
  const HeadGradient g = twist.gradient(hidden, tokens, weight);
  auto& parameters = twist.parameters();
  std::size_t at = 0;
  int n_checked = 0, n_kinks = 0;
  const auto check = [&](float& value, double expected, const std::string& name) {
    const float before = value, step = 2e-3f;
    value = before + step;
    twist.refresh();
    const double above = loss();
    value = before - step;
    twist.refresh();
    const double below = loss();
    value = before;
    twist.refresh();
    // The loss is piecewise linear in each parameter. Where a ReLU switches within the step the two sides
    // differ, and neither is the gradient; elsewhere float32 rounding leaves about 1e-6 / step.
    const double h = static_cast<double>(step), middle = loss();
    if (std::abs((above - middle) - (middle - below)) > 2e-3 * h) {
      ++n_kinks;
      return;
    }
    ++n_checked;
    EXPECT_NEAR((above - below) / (2.0 * h), expected, 4e-3) << name;
  };
  for (std::size_t i = 0; i + 2 < parameters.size(); ++i) {
    for (std::size_t e = 0; e < parameters[i].value.size(); e += 5)
      check(parameters[i].value[e], static_cast<double>(g.dense[at + e]), parameters[i].name);
    at += parameters[i].value.size();
  }
  EXPECT_EQ(at, g.dense.size());
  for (std::int64_t v = 0; v < V; ++v) {
    const auto found = std::lower_bound(g.rows.begin(), g.rows.end(), v);
    const bool occurs = found != g.rows.end() && *found == v;
    EXPECT_EQ(occurs, std::count(tokens.begin(), tokens.end(), v) > 0);
    const float* row = occurs ? g.row_values.data() + (found - g.rows.begin()) * (D + 1) : nullptr;
    check(parameters[parameters.size() - 2].value[static_cast<std::size_t>(v * D + 3)],
          occurs ? static_cast<double>(row[3]) : 0.0, "output.weight");
    check(parameters.back().value[static_cast<std::size_t>(v)], occurs ? static_cast<double>(row[D]) : 0.0,
          "output.bias");
  }
  EXPECT_GT(n_checked, 4 * n_kinks) << "too little was checked";
}

TEST_P(Head, ChosenTokensHaveTheBitsOfWholeRows) {
  const at::Tensor rows = log_psi_next(twist, hidden);
  const std::vector<double> chosen = log_psi_at(twist, twist.features(hidden), tokens);
  for (std::int64_t i = 0; i < n; ++i)
    EXPECT_EQ(static_cast<double>(rows[i][tokens[static_cast<std::size_t>(i)]].item<float>()),
              chosen[static_cast<std::size_t>(i)]);
}

TEST_P(Head, StartsNearZeroAndTheSameForASeed) {
  EXPECT_LT(log_psi_next(twist, hidden).abs().mean().item<double>(), 3.0);
  const HeadTwist again(GetParam(), D, V, device::Precision::float32, 1.0, 3),
      other(GetParam(), D, V, device::Precision::float32, 1.0, 4);
  EXPECT_EQ(twist.parameters()[0].value, again.parameters()[0].value);
  EXPECT_NE(twist.parameters()[0].value, other.parameters()[0].value);
}

TEST_P(Head, AScaleOfZeroStartsAtOneAndCanLearn) {
  twist = HeadTwist(GetParam(), D, V, device::Precision::float32, 0.0, 3);
  for (const double log_psi : log_psi_at(twist, twist.features(hidden), tokens)) EXPECT_EQ(log_psi, 0.0);
  // The output layer sees features that differ from row to row, so its gradient is more than its bias's.
  const HeadGradient g = twist.gradient(hidden, tokens, weight);
  const auto is_weight = [](std::size_t i) { return i % (D + 1) != D; };
  double largest = 0;
  for (std::size_t i = 0; i < g.row_values.size(); ++i)
    if (is_weight(i)) largest = std::max(largest, std::abs(static_cast<double>(g.row_values[i])));
  EXPECT_GT(largest, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Forms, Head, testing::Values("linear", "mlp"),
                         [](const auto& test) { return std::string(test.param); });

TEST(HeadTwist, RefusesUnknownForms) {
  EXPECT_THROW(HeadTwist("cubic", D, V, device::Precision::float32, 1.0, 3), Error);
}

}  // namespace
}  // namespace twistor::twist
