// SPDX-License-Identifier: Apache-2.0
// Learning bodies: the same bits on every number of ranks and after going on, gradients by finite
// differences through the whole twist, and twists that get better where everything can be enumerated.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "support/body_task.hpp"
#include "support/random_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/body.hpp"

namespace twistor::learn {
namespace {

using test::Tokens;

using test::bodies, test::BodyChoice, test::BodyTask;

const std::filesystem::path tiny = std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny";

struct BodyLearner {
  BodyLearner(const BodyTask& task, const std::string& form, const ObjectiveOptions& options,
              const comm::Communicator& comm, double learning_rate = 3e-3)
      : problem(task.problem()),
        twist(task.make_twist(form)),
        trainer(problem, *twist, make_objective(form == "ratio" ? "ratio" : "ctl", options),
                {.length = task.T, .n_shards = 4, .adam = {.learning_rate = learning_rate}}, task.source,
                comm) {}
  std::vector<std::vector<float>> learn(std::int64_t updates) {
    for (std::int64_t i = 0; i < updates; ++i) trainer.update();
    return test::values_of(twist->parameters());
  }
  smc::Problem problem;
  std::unique_ptr<twist::Trainable> twist;
  Trainer trainer;
};

ObjectiveOptions few(Positives positives) {
  return {.batch = 14, .positive_batch = 6, .positives = positives};
}

TEST(Bodies, LearnTheSameBitsOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const BodyChoice& choice : bodies)
    for (const char* form : {"linear", "tied_mlp", "ratio"}) {
      ObjectiveOptions options = few(Positives::both);
      options.inner_epochs = 2;  // hidden states are computed anew
      // A task for each: a body belongs to one twist.
      const BodyTask a(tiny, choice, 4), b(tiny, choice, 4);
      EXPECT_TRUE(BodyLearner(a, form, options, world).learn(3) ==
                  BodyLearner(b, form, options, self).learn(3))
          << choice.name << form;
    }
}

TEST(Bodies, EveryParameterLearns) {
  const comm::Communicator self = comm::Communicator::self();
  for (const BodyChoice& choice : bodies)
    for (const char* form : {"mlp", "ratio"}) {
      const BodyTask task(tiny, choice, 4, /*end_token=*/8);
      BodyLearner learner(task, form, few(Positives::exact), self);
      const auto before = test::values_of(learner.twist->parameters()), after = learner.learn(2);
      for (std::size_t i = 0; i < before.size(); ++i)
        EXPECT_NE(before[i], after[i]) << learner.twist->parameters()[i].name;
    }
}

TEST(Bodies, GoOnFromTheirStateAsIfNothingHadHappened) {
  const comm::Communicator self = comm::Communicator::self();
  for (const BodyChoice& choice : bodies)
    for (const char* form : {"mlp", "ratio"}) {
      const ObjectiveOptions options = few(Positives::both);
      const BodyTask a(tiny, choice, 4), b(tiny, choice, 4), c(tiny, choice, 4);
      BodyLearner straight(a, form, options, self), first(b, form, options, self),
          second(c, form, options, self);
      straight.learn(4);
      first.learn(2);
      test::MemoryState state;
      first.trainer.visit_state(state);
      state.restores = true;
      second.trainer.visit_state(state);
      second.learn(2);
      EXPECT_TRUE(test::values_of(straight.twist->parameters()) ==
                  test::values_of(second.twist->parameters()))
          << choice.name << form;
    }
}

/// A loss of scores of tokens, of whole rows of scores and of values, for some texts.
struct Loss {
  Loss(const BodyTask& of, const twist::Trainable& with, bool with_rows)
      : task(of),
        twist(with),
        has_rows(with_rows),
        tokens(of.exact_tokens.data(), static_cast<std::size_t>(6 * of.T)) {
    const auto n = static_cast<std::int64_t>(tokens.size());
    on_row = at::empty({n, task.base->vocab_size()}, at::kFloat);
    for (std::int64_t i = 0; i < on_row.numel(); ++i)
      on_row.mutable_data_ptr<float>()[i] = static_cast<float>(0.1 * std::cos(1.3 * static_cast<double>(i)));
    for (std::int64_t i = 0; i < n; ++i) {
      on_score.push_back(std::cos(static_cast<double>(i)));
      on_value.push_back(std::sin(static_cast<double>(i)));
    }
  }
  [[nodiscard]] at::Tensor hidden() const {
    const at::Tensor all = smc::hidden_states(task.problem(), task.T, tokens);
    return all.view({-1, all.size(2)});
  }
  [[nodiscard]] double value() const {
    const at::Tensor h = hidden(), scores = twist::log_psi_next(twist, h);
    const std::vector<double> chosen = twist::log_psi_at(twist, twist.features(h), tokens),
                              values = twist.is_normalised() ? std::vector<double>(tokens.size())
                                                             : twist.values(h);
    double sum = has_rows ? (scores.to(at::kDouble) * on_row.to(at::kDouble)).sum().item<double>() : 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) sum += on_score[i] * chosen[i] + on_value[i] * values[i];
    return sum;
  }
  /// Dense, by parameter.
  [[nodiscard]] std::vector<std::vector<float>> gradient() const {
    twist::GradientTerms terms{.hidden = hidden(), .length = task.T, .tokens = tokens, .on_score = on_score};
    terms.on_value = on_value;
    if (has_rows)
      terms.on_row = [&](std::int64_t begin, std::int64_t end) { return on_row.slice(1, begin, end); };
    std::vector<std::vector<float>> out(twist.parameters().size());
    twist.gradient(terms, [&](twist::GradientBlock block) {
      const twist::Parameter& p = twist.parameters()[block.parameter];
      std::vector<float>& all = out[block.parameter];
      const std::vector<float> values = block.numbers();
      all = values;
      if (!p.has_row_gradient) return;
      all.assign(p.value.size(), 0);
      for (std::size_t r = 0; r < block.rows.size(); ++r)
        std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(r) * p.width(), p.width(),
                    all.begin() + block.rows[r] * p.width());
    });
    return out;
  }

  const BodyTask& task;
  const twist::Trainable& twist;
  bool has_rows;
  std::span<const std::int64_t> tokens;
  at::Tensor on_row;
  std::vector<double> on_score, on_value;
};

/// Through head and body at once: the derivative along the gradient is the square of its norm.
void expect_finite_differences(const BodyTask& task, twist::Trainable& twist, bool has_rows,
                               const std::string& what) {
  for (twist::Parameter& p : twist.parameters())  // so that A has a gradient, and biases are not 0
    for (std::size_t i = 0; i < p.value.size(); ++i)
      p.value[i] += 0.02F * static_cast<float>(std::sin(3.7 * static_cast<double>(i)));
  twist.refresh();
  const Loss loss(task, twist, has_rows);
  const std::vector<std::vector<float>> gradient = loss.gradient();
  for (const bool is_body : {false, true}) {
    const auto for_each = [&](const auto& f) {
      for (std::size_t i = 0; i < gradient.size(); ++i)
        if (twist.parameters()[i].name.starts_with(twist::body_prefix) == is_body)
          for (std::size_t j = 0; j < gradient[i].size(); ++j)
            f(static_cast<double>(gradient[i][j]), twist.parameters()[i].value[j]);
    };
    double square = 0;
    for_each([&](double g, float&) { square += g * g; });
    if (twist.is_normalised() && !is_body) continue;  // there is no head
    ASSERT_GT(square, 0);
    const double step = 2e-3 / std::sqrt(square);
    const auto value_after = [&](double by) {
      for_each([&](double g, float& x) { x += static_cast<float>(by * g); });
      twist.refresh();
      return loss.value();
    };
    const double above = value_after(step), below = value_after(-2 * step);
    (void)value_after(step);
    EXPECT_NEAR((above - below) / (2 * step) / square, 1.0, 1e-2) << what << (is_body ? " body" : " head");
  }
}

TEST(Bodies, GradientsAreThoseOfFiniteDifferences) {
  for (const BodyChoice& choice : bodies)
    for (const char* form : {"linear", "mlp", "tied_linear", "tied_mlp"})
      for (const bool has_rows : {false, true}) {
        const BodyTask task(tiny, choice, 4);
        const auto twist = task.make_twist(form, 1, /*has_value=*/true);
        expect_finite_differences(task, *twist, has_rows,
                                  fmt::format("{} {} {}", choice.name, form, has_rows));
      }
}

TEST(Ratio, GradientsAreThoseOfFiniteDifferences) {
  const std::filesystem::path capped = std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/gemma2";
  for (const BodyChoice& choice : bodies)
    for (const auto& path : {tiny, capped})
      for (const bool has_rows : {false, true}) {
        const BodyTask task(path, choice, 4);
        expect_finite_differences(task, *task.make_twist("ratio"), has_rows,
                                  fmt::format("{} {} {}", path.filename().string(), choice.name, has_rows));
      }
}

TEST(Ratio, IsOneAtFirstAndNormalisedWhateverItLearns) {
  const comm::Communicator self = comm::Communicator::self();
  for (const BodyChoice& choice : bodies) {
    const BodyTask task(tiny, choice, 4);
    BodyLearner learner(task, "ratio", few(Positives::exact), self, 1e-2);
    const auto hidden = [&] {
      const at::Tensor all = smc::hidden_states(task.problem(), task.T, task.exact_tokens);
      return all.view({-1, all.size(2)});
    };
    EXPECT_EQ(twist::log_psi_next(*learner.twist, hidden()).abs().max().item<float>(), 0) << choice.name;
    learner.learn(10);
    const at::Tensor h = hidden();
    EXPECT_GT(twist::log_psi_next(*learner.twist, h).abs().max().item<float>(), 0.1) << choice.name;
    const smc::Proposal q(*task.lm, *learner.twist, smc::ProposalKind::twisted);
    const smc::RowScores rows = q.score(h);
    for (std::size_t i = 0; i < rows.log_sum_p0.size(); ++i)  // sum of p0 psi
      EXPECT_NEAR(rows.log_sum_q[i], rows.log_sum_p0[i], 1e-5) << choice.name;
  }
}

TEST(Ratio, IsLearnedByWhatLearnsQAlone) {
  const comm::Communicator self = comm::Communicator::self();
  const BodyTask task(tiny, bodies[1], 4);
  const smc::Problem problem = task.problem();
  const auto refusal = [&](const std::string& form, const char* objective) {
    const auto twist = task.make_twist(form);
    try {
      Trainer(problem, *twist, make_objective(objective, few(Positives::exact)), {.length = 4}, task.source,
              self);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      return error.text();
    }
    return std::string("no error");
  };
  EXPECT_THAT(refusal("ratio", "ctl"), testing::HasSubstr("set train.objective = ratio or dpg"));
  EXPECT_THAT(refusal("linear", "ratio"), testing::HasSubstr("set twist.form = ratio"));
  EXPECT_EQ(refusal("ratio", "ratio"), "no error");
  EXPECT_EQ(refusal("ratio", "dpg"), "no error");
  EXPECT_THROW((void)task.make_twist("ratio", 0, /*has_value=*/true), Error);
}

// Both are the likelihood of positives under q, where what follows the end of a text teaches nothing.
TEST(Ratio, TeachesWhatDpgTeachesOfTextsThatEnd) {
  const comm::Communicator self = comm::Communicator::self();
  const auto gradient_norm = [&](const BodyChoice& choice, const char* objective) {
    constexpr std::int64_t end = 8;
    BodyTask task(tiny, choice, 4, end);
    for (std::size_t i = 0; i < task.exact_tokens.size(); i += 4)
      std::ranges::copy(Tokens{static_cast<std::int64_t>(i % 5), end, end, end},
                        task.exact_tokens.begin() + static_cast<std::ptrdiff_t>(i));
    const smc::Problem problem = task.problem();
    const auto twist = task.make_twist("ratio");
    Trainer trainer(problem, *twist, make_objective(objective, few(Positives::exact)),
                    {.length = 4, .n_shards = 2, .clip_norm = 1e9}, task.source, self);
    for (const auto& [name, value] : trainer.update().numbers)
      if (name == "gradient_norm") return value;
    return 0.0;
  };
  for (const BodyChoice& choice : bodies) {
    const double norm = gradient_norm(choice, "dpg");
    EXPECT_GT(norm, 0.01) << choice.name;
    EXPECT_NEAR(gradient_norm(choice, "ratio"), norm, 1e-3 * norm) << choice.name;
  }
}

/// Exact KL(q || sigma) over all V^T texts.
double exact_kl(const BodyTask& task, const twist::Twist& twist) {
  const std::vector<std::int64_t> tokens = test::all_texts(task.base->vocab_size(), task.T);
  const smc::Proposal proposal(*task.lm, twist, smc::ProposalKind::twisted);
  const smc::ForcedPass pass = smc::forced_pass(task.problem(), proposal, task.T, tokens);
  const std::vector<double> log_phi = task.potential.log_phi({task.prompt, tokens, task.T});
  std::vector<double> log_q(log_phi.size()), log_sigma(log_phi.size());
  double z = 0;
  for (std::size_t i = 0; i < log_phi.size(); ++i) {
    log_sigma[i] = log_phi[i];
    for (std::int64_t t = 0; t < task.T; ++t) {
      const auto at = i * static_cast<std::size_t>(task.T) + static_cast<std::size_t>(t);
      log_q[i] += pass.log_q[at];
      log_sigma[i] += pass.log_p0[at];
    }
    z += std::exp(log_sigma[i]);
  }
  double kl = 0;
  for (std::size_t i = 0; i < log_q.size(); ++i)
    kl += std::exp(log_q[i]) * (log_q[i] - log_sigma[i] + std::log(z));
  return kl;
}

TEST(Ratio, LowersTheExactDivergence) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F);
  const ObjectiveOptions options{.batch = 1024, .positives = Positives::weighted};
  for (const BodyChoice& choice : bodies) {
    const BodyTask task(path, choice, 3);
    BodyLearner learner(task, "ratio", options, world, 3e-3);
    const double before = exact_kl(task, *learner.twist);
    learner.learn(300);
    const double after = exact_kl(task, *learner.twist);
    RecordProperty(choice.name, std::to_string(after));
    EXPECT_LT(after, 0.15 * before) << choice.name << " " << before << " " << after;
  }
}

/// A linear head on the frozen random model cannot come as close as one whose input learns with it.
TEST(Bodies, LowerTheExactDivergenceMoreThanAHeadAlone) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 16, 2, 2, 8);
  const ObjectiveOptions options{.batch = 1024, .positives = Positives::weighted};
  constexpr std::int64_t updates = 200;
  constexpr double rate = 1e-2;
  std::map<std::string, double> kl;
  for (const BodyChoice& choice : bodies) {
    const BodyTask task(path, choice, 3);
    BodyLearner learner(task, "linear", options, world, rate);
    learner.learn(updates);
    kl[choice.name] = exact_kl(task, *learner.twist);
  }
  const BodyTask task(path, bodies[0], 3);
  const auto untrained = task.make_twist("linear", /*init_scale=*/0);  // whose values the body views
  kl["none"] = exact_kl(task, *untrained);
  const auto head = twist::make_twist("linear", {.width = 16, .vocab_size = 7, .init_scale = 1, .seed = 8});
  const smc::Problem problem{*task.base, task.prompt, task.potential};
  Trainer trainer(problem, *head, make_objective("ctl", options),
                  {.length = 3, .n_shards = 4, .adam = {.learning_rate = rate}}, task.source, world);
  for (std::int64_t i = 0; i < updates; ++i) trainer.update();
  kl["base"] = exact_kl(task, *head);  // which reads the first columns alone
  for (const auto& [name, value] : kl) RecordProperty(name, std::to_string(value));
  EXPECT_LT(kl["base"], kl["none"]);
  EXPECT_LT(kl["copy"], 0.6 * kl["base"]) << kl["copy"] << " " << kl["base"];
  EXPECT_LT(kl["lora"], 0.6 * kl["base"]) << kl["lora"] << " " << kl["base"];
}

}  // namespace
}  // namespace twistor::learn
