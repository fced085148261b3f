// SPDX-License-Identifier: Apache-2.0
// Gradients of twists that see observations, by finite differences through encoding, body and head at once.
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/trainable_decoder.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/conditional.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/body.hpp"

namespace twistor::learn {
namespace {

const std::filesystem::path tiny = std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny";

struct Kind {
  const char* name;
  bool has_body;
  std::optional<model::LoraOptions> lora;
};

class ConditionalGradient : public testing::TestWithParam<Kind> {
 protected:
  ConditionalGradient() {
    if (GetParam().has_body) {
      model::TrainableOptions options;
      options.lora = GetParam().lora;
      body = model::load_trainable_decoder(tiny, options);
      lm = model::join(base, body->sampler(), 2);
    }
    potential::PotentialOptions options;
    options.ids = {0};
    potential = potential::make_potential(options, {.lm = base.get()});
    problems = std::make_unique<smc::ConditionalProblem>(lm, body != nullptr ? body->sampler() : nullptr,
                                                         prompt, *potential, model::Condition::tokens);
    twist = twist::make_twist("mlp", {.width = base->hidden_size(),
                                      .vocab_size = base->vocab_size(),
                                      .init_scale = 1,
                                      .seed = 8,
                                      .first_column = body != nullptr ? base->hidden_size() : 0,
                                      .condition_width = problems->encoding_width(),
                                      .body = body,
                                      .prompt = prompt,
                                      .body_reads_observation = true});
    for (twist::Parameter& p : twist->parameters())  // so that A has a gradient, and biases are not 0
      for (std::size_t i = 0; i < p.value.size(); ++i)
        p.value[i] += 0.02F * static_cast<float>(std::sin(3.7 * static_cast<double>(i)));
    twist->refresh();
  }

  static constexpr std::int64_t T = 3;
  /// Two texts of the first observation, one of the second.
  std::vector<std::vector<std::int64_t>> observations{{7, 11}, {4, 9, 30}};
  std::vector<std::vector<std::int64_t>> texts{{3, 12, 40, 8, 8, 21}, {17, 2, 5}};

  [[nodiscard]] std::vector<std::int64_t> tokens() const {
    std::vector<std::int64_t> out = texts[0];
    out.insert(out.end(), texts[1].begin(), texts[1].end());
    return out;
  }
  [[nodiscard]] at::Tensor hidden() const {
    std::vector<at::Tensor> rows;
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor all = smc::hidden_states(problems->given(observations[i])->problem(), T, texts[i]);
      rows.push_back(all.view({-1, all.size(2)}));
    }
    return at::cat(rows);
  }
  [[nodiscard]] double loss() const {
    const std::vector<double> log_psi = twist::log_psi_at(*twist, twist->features(hidden()), tokens());
    double sum = 0;
    for (std::size_t i = 0; i < log_psi.size(); ++i) sum += std::cos(static_cast<double>(i)) * log_psi[i];
    return sum;
  }
  /// Dense, by parameter; `claimed` are said to be what the rows have seen.
  [[nodiscard]] std::vector<std::vector<float>> gradient(
      const std::vector<std::vector<std::int64_t>>& claimed) const {
    std::vector<double> on_score;
    for (int i = 0; i < 9; ++i) on_score.push_back(std::cos(static_cast<double>(i)));
    const std::vector<std::int64_t> all = tokens();
    const std::vector<twist::ObservedRows> seen{{6, claimed[0]}, {3, claimed[1]}};
    std::vector<std::vector<float>> out(twist->parameters().size());
    const twist::GradientTerms terms{.hidden = hidden(),
                                     .length = T,
                                     .tokens = all,
                                     .on_score = on_score,
                                     .on_row = {},
                                     .on_value = {},
                                     .observations = seen};
    twist->gradient(terms, [&](twist::GradientBlock block) {
      const twist::Parameter& p = twist->parameters()[block.parameter];
      std::vector<float>& dense = out[block.parameter];
      EXPECT_TRUE(dense.empty()) << p.name << " came twice";
      const std::vector<float> values = block.numbers();
      dense = values;
      if (!p.has_row_gradient) return;
      dense.assign(p.value.size(), 0);
      for (std::size_t r = 0; r < block.rows.size(); ++r)
        std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r) * p.width(), p.width(),
                    dense.begin() + block.rows[r] * p.width());
    });
    return out;
  }

  /// The slope of the loss along a gradient over the square of its norm: 1 if it is the gradient.
  [[nodiscard]] double slope(const std::vector<std::vector<float>>& along, bool of_body) {
    double squares = 0;
    const auto step = [&](double length) {
      for (std::size_t i = 0; i < along.size(); ++i) {
        twist::Parameter& p = twist->parameters()[i];
        if (p.name.starts_with(twist::body_prefix) != of_body) continue;
        for (std::size_t j = 0; j < along[i].size(); ++j)
          p.value[j] += static_cast<float>(length * static_cast<double>(along[i][j]));
      }
      twist->refresh();
    };
    for (std::size_t i = 0; i < along.size(); ++i)
      if (twist->parameters()[i].name.starts_with(twist::body_prefix) == of_body)
        for (const float g : along[i]) squares += static_cast<double>(g) * static_cast<double>(g);
    const double length = 5e-3 / std::sqrt(squares);
    const auto before = twist->parameters();
    step(length);
    const double above = loss();
    twist->parameters() = before;
    step(-length);
    const double below = loss();
    twist->parameters() = before;
    twist->refresh();
    return (above - below) / (2 * length * squares);
  }

  std::vector<std::int64_t> prompt{3, 5};
  std::shared_ptr<const model::LanguageModel> base = model::load_language_model(tiny), lm = base;
  std::shared_ptr<model::TrainableDecoder> body;
  std::unique_ptr<potential::Potential> potential;
  std::unique_ptr<smc::ConditionalProblem> problems;
  std::unique_ptr<twist::Trainable> twist;
};

TEST_P(ConditionalGradient, IsThatOfFiniteDifferences) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const std::vector<std::vector<float>> right = gradient(observations);
  // Float32 differences over a step of 0.005: a part in a hundred.
  EXPECT_NEAR(slope(right, false), 1, 0.01);
  if (!GetParam().has_body) return;
  EXPECT_NEAR(slope(right, true), 1, 0.02);
  // What the body makes of an observation is part of it: with others it is wrong.
  EXPECT_GT(std::abs(slope(gradient({{1, 1}, {1, 1, 1}}), true) - 1), 0.05);
}

INSTANTIATE_TEST_SUITE_P(All, ConditionalGradient,
                         testing::Values(Kind{"base", false, std::nullopt}, Kind{"copy", true, std::nullopt},
                                         Kind{"lora", true, model::LoraOptions{3, 6, {}}}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace twistor::learn
