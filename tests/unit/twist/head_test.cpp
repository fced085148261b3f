// SPDX-License-Identifier: Apache-2.0
// Head twists: gradients against finite differences, chosen tokens against whole rows, reproducible starts.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>
#include <utility>

#include "support/engines.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/twist/head.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::twist {
namespace {

constexpr std::int64_t D = 12, V = 40, n = 9;

device::Weight weight_of(std::span<const float> rows) {
  device::Weight out = device::cpu_engine()->make_weight(V, D, device::Precision::float32);
  device::cpu_engine()->write_rows(out, 0, rows);
  return out;
}

/// The model's output embedding, for the forms that are tied to it.
const device::Weight* output_matrix() {
  static const device::Weight packed = [] {
    Philox random(6, Stream::test, 0, 0);
    std::vector<float> values;
    for (std::int64_t i = 0; i < V * D; ++i) values.push_back(0.3f * static_cast<float>(random.normal()));
    return weight_of(values);
  }();
  return &packed;
}

TwistOptions options_of(double init_scale, std::uint64_t seed, const device::Weight* matrix) {
  return {.width = D, .vocab_size = V, .init_scale = init_scale, .seed = seed, .output_matrix = matrix};
}

HeadTwist make_head(const std::string& form, double init_scale, std::uint64_t seed) {
  return {form, options_of(init_scale, seed, output_matrix())};
}

class Head : public testing::TestWithParam<const char*> {
 protected:
  HeadTwist twist = make_head(GetParam(), 1.0, 3);
  at::Tensor hidden = fixed_normal(D, 5), by_row = fixed_normal(V, 6);

  static at::Tensor fixed_normal(std::int64_t width, std::uint64_t seed) {
    at::Tensor out = at::empty({n, width}, at::kFloat);
    Philox random(seed, Stream::test, 0, 0);
    for (std::int64_t i = 0; i < n * width; ++i)
      out.mutable_data_ptr<float>()[i] = static_cast<float>(random.normal());
    return out;
  }

  std::vector<std::int64_t> tokens{0, 5, 39, 5, 5, 12, 31, 32, 33};
  std::vector<double> weight{0.5, -1.0, 0.25, 2.0, 0.1, -0.7, 0.3, 0.9, -0.2};

  [[nodiscard]] GradientTerms terms() const {
    return {.hidden = hidden, .length = n, .tokens = tokens, .on_score = weight};
  }
  [[nodiscard]] double loss() const {
    const std::vector<double> log_psi = log_psi_at(twist, twist.features(hidden), tokens);
    double sum = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) sum += weight[i] * log_psi[i];
    return sum;
  }

  /// The same with terms of all tokens beside it, and of a value.
  [[nodiscard]] GradientTerms whole_terms() const {
    GradientTerms out = terms();
    out.on_row = [this](std::int64_t begin, std::int64_t end) { return 0.1 * by_row.slice(1, begin, end); };
    out.on_value = on_value;
    return out;
  }
  [[nodiscard]] double whole_loss() const {
    double sum = loss() + 0.1 * (by_row * log_psi_next(twist, hidden)).sum().item<double>();
    const std::vector<double> values = twist.values(hidden);
    for (std::size_t i = 0; i < values.size(); ++i) sum += on_value[i] * values[i];
    return sum;
  }
  std::vector<double> on_value{0.3, 0.2, -1.0, 0.5, 0.1, 0.6, -0.2, 0.4, 0.7};

  static bool is_tied() { return std::string(GetParam()).starts_with("tied"); }

  /// By parameter; each must come once.
  [[nodiscard]] std::vector<GradientBlock> gradient() const { return gradient(terms()); }
  [[nodiscard]] std::vector<GradientBlock> gradient(const GradientTerms& of) const {
    std::map<std::size_t, GradientBlock> blocks;
    twist.gradient(of, [&](GradientBlock block) {
      const std::size_t parameter = block.parameter;
      EXPECT_TRUE(blocks.emplace(parameter, std::move(block)).second) << parameter;
    });
    std::vector<GradientBlock> out;
    for (std::size_t i = 0; i < twist.parameters().size(); ++i) out.push_back(blocks.at(i));
    return out;
  }

  static std::vector<float> dense_values(const Parameter& p, const GradientBlock& g) {
    const std::vector<float> values = g.numbers();
    if (!p.has_row_gradient) return values;
    std::vector<float> out(p.value.size());
    const auto width = static_cast<std::size_t>(p.width());
    for (std::size_t r = 0; r < g.rows.size(); ++r)
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r * width), width,
                  out.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(g.rows[r]) * width));
    return out;
  }

  /// Compares a gradient with differences of its loss.
  template <class Loss>
  void expect_gradient(const std::vector<GradientBlock>& g, const Loss& loss) {
    auto& parameters = twist.parameters();
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
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Parameter& p = parameters[i];
      const std::vector<float> dense = dense_values(p, g[i]);
      for (std::size_t e = 0; e < p.value.size(); e += 5)  // at least two of each row
        check(p.value[e], static_cast<double>(dense[e]), p.name);
    }
    EXPECT_GT(n_checked, 4 * n_kinks) << "too little was checked";
  }
};

TEST_P(Head, RowsOfTheGradientAreTheTokensThatOccur) {
  const std::vector<std::int64_t> occurring{0, 5, 12, 31, 32, 33, 39};
  const std::vector<GradientBlock> g = gradient();
  int n_by_rows = 0;
  for (std::size_t i = 0; i < g.size(); ++i) {
    const bool is_by_rows = twist.parameters()[i].has_row_gradient;
    EXPECT_EQ(g[i].rows, is_by_rows ? occurring : std::vector<std::int64_t>{});
    n_by_rows += is_by_rows ? 1 : 0;
  }
  EXPECT_EQ(n_by_rows, is_tied() ? 0 : 2);
}

TEST_P(Head, GradientIsThatOfFiniteDifferences) {
  expect_gradient(gradient(), [this] { return loss(); });
}

TEST_P(Head, GradientOfWholeRowsAndOfAValueIsThatOfFiniteDifferences) {
  TwistOptions options = options_of(1.0, 3, output_matrix());
  options.has_value = true;
  twist = HeadTwist(GetParam(), options);
  for (float& w : twist.parameters()[twist.parameters().size() - 2].value) w = 0.2f;
  twist.refresh();
  EXPECT_EQ(twist.parameters().back().name, "value.bias");
  expect_gradient(gradient(whole_terms()), [this] { return whole_loss(); });
}

TEST_P(Head, AProbabilityIsTheLogisticFunctionOfTheScore) {
  TwistOptions options = options_of(is_tied() ? 100.0 : 3.0, 3, output_matrix());
  const at::Tensor scores = log_psi_next(HeadTwist(GetParam(), options), hidden);
  options.link = Link::log_sigmoid;
  twist = HeadTwist(GetParam(), options);
  EXPECT_EQ(twist.link(), Link::log_sigmoid);
  const at::Tensor log_psi = log_psi_next(twist, hidden);
  EXPECT_GT(scores.max().item<float>(), 2.0f);
  for (std::int64_t i = 0; i < n * V; ++i) {
    const auto score = static_cast<double>(scores.const_data_ptr<float>()[i]);
    EXPECT_NEAR(static_cast<double>(log_psi.const_data_ptr<float>()[i]), log_sigmoid(score),
                2e-7 * (1 + std::abs(score)));
  }
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
  const std::vector<float> last = gradient()[twist.parameters().size() - 2].numbers();
  const auto size = [](float a, float b) { return std::abs(a) < std::abs(b); };
  EXPECT_GT(std::abs(std::ranges::max(last, size)), is_tied() ? 1e-3f : 0.1f);
}

class HeadOnTensors : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(HeadOnTensors, FollowsValuesThatWereChangedOnItsDevice) {
  const auto& [name, form] = GetParam();
  const std::shared_ptr<const device::Engine> engine = test::engine_named(name);
  if (engine == nullptr) GTEST_SKIP() << "there is none here";
  const auto options = [&](const std::shared_ptr<const device::Engine>& of) {
    TwistOptions out = options_of(1.0, 3, nullptr);
    out.engine = of;
    out.has_value = true;
    return out;
  };
  HeadTwist tensors(form, options(engine)), plain(form, options(device::cpu_engine()));
  Philox random(7, Stream::test, 0, 0);
  std::vector<float> numbers(n * D);
  for (float& x : numbers) x = static_cast<float>(random.normal());
  const std::vector<std::int64_t> tokens{0, 5, 39, 5, 5, 12, 31, 32, 33};
  const std::vector<double> on_score(n, 0.5), on_value(n, 0.25);
  const auto hidden = [&](const device::Engine& of) { return of.upload(numbers).view({n, D}); };
  const auto gradient = [&](const HeadTwist& twist, const device::Engine& of) {
    std::map<std::size_t, std::vector<float>> out;
    const GradientTerms terms{
        .hidden = hidden(of), .tokens = tokens, .on_score = on_score, .on_value = on_value};
    twist.gradient(terms, [&](const GradientBlock& block) { out[block.parameter] = block.numbers(); });
    return out;
  };
  const std::vector<float> before = device::to_host(log_psi_next(tensors, hidden(*engine)));
  for (std::size_t i = 0; i < plain.parameters().size(); ++i) {
    tensors.parameters()[i].value.change_on(engine->device()).add_(0.25);
    for (float& x : plain.parameters()[i].value) x += 0.25F;
  }
  tensors.refresh();
  plain.refresh();
  const auto expect_near = [](const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4F * (1 + std::abs(b[i])));
  };
  const std::vector<float> after = device::to_host(log_psi_next(tensors, hidden(*engine)));
  EXPECT_NE(before, after);
  expect_near(after, device::to_host(log_psi_next(plain, hidden(*device::cpu_engine()))));
  const std::vector<double> a = tensors.values(hidden(*engine)),
                            b = plain.values(hidden(*device::cpu_engine()));
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
  const auto of_tensors = gradient(tensors, *engine), of_plain = gradient(plain, *device::cpu_engine());
  ASSERT_EQ(of_tensors.size(), of_plain.size());
  for (const auto& [parameter, values] : of_plain) expect_near(of_tensors.at(parameter), values);
}

INSTANTIATE_TEST_SUITE_P(Engines, HeadOnTensors,
                         testing::Combine(test::every_tensor_engine, testing::Values("linear", "mlp")));

INSTANTIATE_TEST_SUITE_P(Forms, Head, testing::Values("linear", "mlp", "tied_linear", "tied_mlp"),
                         [](const auto& test) { return std::string(test.param); });

TEST(Registry, MakesEveryForm) {
  const TwistOptions options{.width = D, .vocab_size = V, .output_matrix = output_matrix()};
  for (const std::string_view form : head_forms()) {  // a ratio needs a body, and is made in tests of its own
    EXPECT_THAT(twist_forms(), testing::Contains(form));
    const auto twist = make_twist(form, options);
    EXPECT_EQ(twist->form(), form);
    EXPECT_EQ(twist->link(), Link::identity);
  }
  try {
    (void)make_twist("cubic", options);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(), testing::HasSubstr("\"cubic\", expected linear, mlp"));
  }
}

TEST(HeadTwist, RefusesUnknownForms) {
  EXPECT_THROW(HeadTwist("cubic", options_of(1.0, 3, nullptr)), Error);
}

TEST(HeadTwist, ATiedOneNeedsAnOutputEmbedding) {
  try {
    HeadTwist("tied_linear", options_of(1.0, 3, nullptr));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(),
                testing::HasSubstr("twist.form = tied_linear needs the language model's output"));
  }
}

TEST(HeadTwist, ATiedOneDoesNotChangeWithTheScaleOfItsModel) {
  const HeadTwist twist = make_head("tied_mlp", 1.0, 3);
  std::vector<std::int64_t> all(V);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  std::vector<float> values = device::to_host(device::cpu_engine()->read_rows(*output_matrix(), all));
  for (float& value : values) value *= 4;
  const device::Weight larger = weight_of(values);
  const HeadTwist other("tied_mlp", options_of(1.0, 3, &larger));
  at::Tensor hidden = at::empty({2, D}, at::kFloat);
  for (std::int64_t i = 0; i < 2 * D; ++i)
    hidden.mutable_data_ptr<float>()[i] = static_cast<float>(i % 5) - 1.5f;
  const at::Tensor a = log_psi_next(twist, hidden), b = log_psi_next(other, hidden * 8.0);
  EXPECT_GT(a.abs().max().item<float>(), 1e-3f);
  EXPECT_LT((a - b).abs().max().item<float>(), 1e-5f);
}

}  // namespace
}  // namespace twistor::twist
