// Head twists: gradients against finite differences, chosen tokens against whole rows, reproducible starts.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::twist {
namespace {

constexpr std::int64_t D = 12, V = 40, n = 9;

/// The model's output embedding, for the forms that are tied to it.
const device::PackedMatrix* output_matrix() {
  static const device::PackedBuffer packed = [] {
    Philox random(6, Stream::test, 0, 0);
    std::vector<float> values;
    for (std::int64_t i = 0; i < V * D; ++i) values.push_back(0.3f * static_cast<float>(random.normal()));
    device::PackedBuffer out(V, D, device::Precision::float32);
    out.matrix().pack_rows(0, values);
    return out;
  }();
  return &packed.matrix();
}

HeadTwist make_head(const std::string& form, double init_scale, std::uint64_t seed) {
  return {form, D, V, device::Precision::float32, init_scale, seed, output_matrix()};
}

class Head : public testing::TestWithParam<const char*> {
 protected:
  HeadTwist twist = make_head(GetParam(), 1.0, 3);
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
  const std::size_t n_dense = parameters.size() - (twist.learns_output() ? 2 : 0);
  for (std::size_t i = 0; i < n_dense; ++i) {
    for (std::size_t e = 0; e < parameters[i].value.size(); e += 5)
      check(parameters[i].value[e], static_cast<double>(g.dense[at + e]), parameters[i].name);
    at += parameters[i].value.size();
  }
  EXPECT_EQ(at, g.dense.size());
  EXPECT_EQ(g.rows.empty(), !twist.learns_output());
  for (std::int64_t v = 0; v < V && twist.learns_output(); ++v) {
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
  const HeadTwist again = make_head(GetParam(), 1.0, 3), other = make_head(GetParam(), 1.0, 4);
  EXPECT_EQ(twist.parameters()[0].value, again.parameters()[0].value);
  EXPECT_NE(twist.parameters()[0].value, other.parameters()[0].value);
}

TEST_P(Head, AScaleOfZeroStartsAtOneAndCanLearn) {
  twist = make_head(GetParam(), 0.0, 3);
  for (const double log_psi : log_psi_at(twist, twist.features(hidden), tokens)) EXPECT_EQ(log_psi, 0.0);
  // The last layer sees features that differ from row to row, so its gradient is more than its bias's.
  const HeadGradient g = twist.gradient(hidden, tokens, weight);
  if (!twist.learns_output()) {
    const auto last = std::span(g.dense).last(D * D + D).first(D * D);
    EXPECT_GT(std::ranges::max(last), 1e-3f);
    return;
  }
  const auto is_weight = [](std::size_t i) { return i % (D + 1) != D; };
  double largest = 0;
  for (std::size_t i = 0; i < g.row_values.size(); ++i)
    if (is_weight(i)) largest = std::max(largest, std::abs(static_cast<double>(g.row_values[i])));
  EXPECT_GT(largest, 0.1);
}

INSTANTIATE_TEST_SUITE_P(Forms, Head, testing::Values("linear", "mlp", "tied_linear", "tied_mlp"),
                         [](const auto& test) { return std::string(test.param); });

TEST(HeadTwist, RefusesUnknownForms) {
  EXPECT_THROW(HeadTwist("cubic", D, V, device::Precision::float32, 1.0, 3), Error);
}

TEST(HeadTwist, ATiedOneNeedsAnOutputEmbedding) {
  try {
    HeadTwist("tied_linear", D, V, device::Precision::float32, 1.0, 3);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("twist.form = tied_linear needs the language model's output"));
  }
}

TEST(HeadTwist, ATiedOneDoesNotChangeWithTheScaleOfItsModel) {
  const HeadTwist twist = make_head("tied_mlp", 1.0, 3);
  device::PackedBuffer larger(V, D, device::Precision::float32);
  std::vector<float> values(V * D);
  for (std::int64_t v = 0; v < V; ++v) output_matrix()->read_row(v, std::span(values).subspan(v * D, D));
  for (float& value : values) value *= 4;
  larger.matrix().pack_rows(0, values);
  const HeadTwist other("tied_mlp", D, V, device::Precision::float32, 1.0, 3, &larger.matrix());
  at::Tensor hidden = at::empty({2, D}, at::kFloat);
  for (std::int64_t i = 0; i < 2 * D; ++i)
    hidden.mutable_data_ptr<float>()[i] = static_cast<float>(i % 5) - 1.5f;
  const at::Tensor a = log_psi_next(twist, hidden), b = log_psi_next(other, hidden * 8.0);
  EXPECT_GT(a.abs().max().item<float>(), 1e-3f);
  EXPECT_LT((a - b).abs().max().item<float>(), 1e-5f);
}

}  // namespace
}  // namespace twistor::twist
