// SPDX-License-Identifier: Apache-2.0
// The gradient that the trainer descends against the gradient of CTL by enumeration: every prefix of a
// tabular problem has a parameter of its own, so that none of its terms can hide.
#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>

#include "support/prefix_twist.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

using namespace test::prefixes;  // NOLINT: the whole test speaks of these

/// - mean over t of (sigma - pi_t) of every prefix (Zhao et al. 2024, Sec. 4.1), what comes after the end of
/// a text being the end's.
std::map<std::size_t, double> enumerated_gradient(const Target& target, const twist::Twist& twist) {
  const std::vector<Path> paths = all_paths(target, twist);
  std::map<std::size_t, double> out;
  for (std::int64_t t = 0; t < T; ++t) {
    // pi_t of a prefix, spread over its continuations by p0, which sums to the same.
    std::vector<double> log_pi, log_sigma;
    for (const Path& p : paths) {
      log_pi.push_back(sum(p.log_p0) + p.log_psi[static_cast<std::size_t>(t)]);
      log_sigma.push_back(p.log_sigma);
    }
    const double log_sum_pi = log_sum_exp(log_pi), log_sum_sigma = log_sum_exp(log_sigma);
    for (std::size_t i = 0; i < paths.size(); ++i) {
      out[place_of(target, paths[i].tokens, t)] +=
          (std::exp(log_pi[i] - log_sum_pi) - std::exp(log_sigma[i] - log_sum_sigma)) / T;
    }
  }
  return out;
}

class Gradient : public testing::TestWithParam<std::tuple<Positives, bool, NegativeTokens>> {
 protected:
  [[nodiscard]] static Positives positives() { return std::get<0>(GetParam()); }
  [[nodiscard]] static ObjectiveOptions options(std::int64_t n) {
    return {.batch = n,
            .positive_batch = n,
            .positives = positives(),
            .negatives = std::get<2>(GetParam()),
            .anneal_ess = 8};
  }
  Gradient() { twist.set(rough_log_psi); }

  Target target{std::get<1>(GetParam())};
  PrefixTwist twist{*target.base};
  smc::Problem problem = target.problem();
  twistor::exact::Enumeration enumeration =
      twistor::exact::enumerate(target.model(), target.potential, target.prompt, T);
  exact::Source source{20000, [this](std::int64_t i) { return enumeration.draw(7, i); }};
  comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
};

// 20,000 samples of each kind. A gradient is at most 1/4 times a difference of frequencies, whose standard
// error is at most 0.5 / sqrt(20000 ESS/n) < 0.006 with an ESS of a third; five of them.
TEST_P(Gradient, IsThatOfCtl) {
  if (world.size() > 1) GTEST_SKIP() << "other rank counts give the same bits (training_test.cpp)";
  const auto expected = enumerated_gradient(target, twist);
  Trainer trainer(problem, twist, make_objective("ctl", options(20000)),
                  {.length = T, .n_shards = 4, .adam = {.learning_rate = 0}}, source, self);
  EXPECT_EQ(trainer.update().skipped, "");
  double largest = 0, total = 0;
  for (const auto& [place, value] : expected) {
    EXPECT_NEAR(twist.seen[place], value, 0.0075) << place;
    largest = std::max(largest, std::abs(value));
  }
  EXPECT_GT(largest, 0.03) << "there is something to see";
  // Positives and negatives weigh the same to the last bits, so a factor on either of them shows.
  for (const auto& [place, value] : twist.seen) total += value;
  EXPECT_NEAR(total, 0, 1e-12);
}

// At every step of every batch, over all ranks.
TEST_P(Gradient, PositivesAndNegativesWeighTheSameAtEveryStep) {
  const auto objective = make_objective("ctl", options(37));
  const Shards shards(8, world);
  BatchSource batches(problem, T, shards, source, world);
  std::vector<Batch> drawn;
  smc::SweepCounters counters;
  for (const Request& request : objective->wants())
    drawn.push_back(batches.draw(request, 0, twist, 5, counters));
  const Terms terms = objective->terms(drawn, {problem, twist, 0}, world);
  std::vector<FixedPointSum> sums(T), sizes(T);
  for (const std::vector<double>& on_score : terms.on_score)
    for (std::size_t i = 0; i < on_score.size(); ++i) {
      sums[i % T].add(on_score[i]);
      sizes[i % T].add(std::abs(on_score[i]));
    }
  comm::all_reduce(std::span(sums), world);
  comm::all_reduce(std::span(sizes), world);
  for (std::size_t t = 0; t < T; ++t) {
    EXPECT_NEAR(sums[t].value(), 0, 1e-13) << t;
    EXPECT_GT(sizes[t].value(), 0.05) << t;
  }
}

TEST_P(Gradient, LowersTheEnumeratedDivergence) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const double before = kl_sigma_q(target, twist);
  Trainer trainer(problem, twist, make_objective("ctl", options(400)),
                  {.length = T, .n_shards = 2, .adam = {.learning_rate = 0.03}}, source, self);
  for (int i = 0; i < 150; ++i) (void)trainer.update();
  EXPECT_GT(before, 0.2);
  EXPECT_LT(kl_sigma_q(target, twist), 0.1 * before);
}

std::string case_name(const testing::TestParamInfo<std::tuple<Positives, bool, NegativeTokens>>& test) {
  return std::string(twistor::name_of(std::get<0>(test.param))) + "_" +
         std::string(twistor::name_of(std::get<2>(test.param))) +
         (std::get<1>(test.param) ? "_with_ends" : "");
}
INSTANTIATE_TEST_SUITE_P(Ctl, Gradient,
                         testing::Combine(testing::Values(Positives::exact, Positives::weighted,
                                                          Positives::both, Positives::smc,
                                                          Positives::conditional),
                                          testing::Bool(),
                                          testing::Values(NegativeTokens::drawn, NegativeTokens::expected)),
                         case_name);

// Of one step, what q expects at all tokens is no estimate: with it two batches that drew different tokens
// lower psi alike to the last bits of float32, while drawn tokens do not.
TEST(ExpectedNegatives, OfTheFirstStepHaveNoNoise) {
  const comm::Communicator self = comm::Communicator::self();
  Target target{false};
  PrefixTwist twist{*target.base};
  twist.set(rough_log_psi);
  const smc::Problem problem = target.problem();
  const twistor::exact::Enumeration enumeration =
      twistor::exact::enumerate(target.model(), target.potential, target.prompt, T);
  const exact::Source source{16, [&](std::int64_t i) { return enumeration.draw(7, i); }};
  // The same positives, other negatives: differences of the gradient at first tokens are the negatives'
  // noise.
  const auto noise = [&](NegativeTokens negatives) {
    std::vector<std::map<std::size_t, double>> seen;
    for (const std::int64_t batch : {64, 72}) {
      Trainer trainer(
          problem, twist,
          make_objective(
              "ctl",
              {.batch = batch, .positive_batch = 16, .positives = Positives::exact, .negatives = negatives}),
          {.length = T, .n_shards = 1, .adam = {.learning_rate = 0}}, source, self);
      twist.seen.clear();
      (void)trainer.update();
      seen.push_back(twist.seen);
    }
    double largest = 0;
    for (std::int64_t v = 0; v < problem.lm.vocab_size(); ++v) {
      const std::size_t first = place_of(target, std::vector<std::int64_t>(T, v), 0);
      largest = std::max(largest, std::abs(seen[0][first] - seen[1][first]));
    }
    return largest;
  };
  EXPECT_GT(noise(NegativeTokens::drawn), 1e-3);
  EXPECT_LT(noise(NegativeTokens::expected), 1e-6);
}

// phi = 0 everywhere and no exact samples: an update that is skipped leaves parameters and moments alone.
TEST(SkippedUpdate, ChangesNothing) {
  const comm::Communicator self = comm::Communicator::self();
  test::TinyTask task;
  test::Learner learner(task, "mlp", make_objective("ctl", {.batch = 8, .positives = Positives::weighted}),
                        self);
  learner.learn(1);
  const auto state_of = [&] {
    test::MemoryState state;
    learner.trainer.visit_state(state);
    return state;
  };
  const test::MemoryState before = state_of();
  task.potential = test::RoughPotential(std::numeric_limits<double>::infinity());  // log phi = -inf
  learner.learn(1);
  EXPECT_NE(learner.last.skipped, "");
  EXPECT_TRUE(std::isnan(learner.last.loss));
  const test::MemoryState after = state_of();
  EXPECT_TRUE(after.arrays == before.arrays);
  EXPECT_EQ(after.counts.at("adam_step"), before.counts.at("adam_step"));
  EXPECT_EQ(after.counts.at("update"), before.counts.at("update") + 1);
}

}  // namespace
}  // namespace twistor::learn
