// SPDX-License-Identifier: Apache-2.0
// Learning in rounds: towards sigma by its weighted samples, and away from it; against enumeration, on every
// number of ranks, and resumed inside a round.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "support/body_task.hpp"
#include "support/error_of.hpp"
#include "support/random_model.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/learn/holdout.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

using test::BodyTask, test::bodies;

const std::filesystem::path model_folder = std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny";

ObjectiveOptions short_rounds() {
  return {.batch = 14, .positive_batch = 6, .round_updates = 2, .round_samples = 30};
}

ObjectiveOptions with_holdout() {
  ObjectiveOptions out = short_rounds();
  out.round_updates = 20;
  out.holdout = 0.3;
  return out;
}

struct RoundLearner {
  RoundLearner(const BodyTask& task, const char* objective, const ObjectiveOptions& options,
               const comm::Communicator& comm, double learning_rate = 3e-3, const GivenTexts& given = {})
      : problem(task.problem()),
        twist(task.make_twist("ratio")),
        trainer(
            problem, *twist, make_objective(objective, options),
            {.length = task.T, .n_shards = 4, .adam = {.learning_rate = learning_rate}, .first_round = given},
            task.source, comm) {}
  std::vector<std::vector<float>> learn(std::int64_t updates) {
    for (std::int64_t i = 0; i < updates; ++i) last = trainer.update();
    return test::values_of(twist->parameters());
  }
  smc::Problem problem;
  std::unique_ptr<twist::Trainable> twist;
  Trainer trainer;
  UpdateReport last;
};

TEST(Rounds, LearnTheSameBitsOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const char* objective : {"distill", "avoid"})
    for (const std::int64_t end_token : {std::int64_t{-1}, std::int64_t{8}}) {
      const BodyTask a(model_folder, bodies[1], 4, end_token), b(model_folder, bodies[1], 4, end_token);
      RoundLearner on_all(a, objective, short_rounds(), world), alone(b, objective, short_rounds(), self);
      EXPECT_TRUE(on_all.learn(5) == alone.learn(5)) << objective;
      EXPECT_EQ(on_all.last.numbers, alone.last.numbers);
      EXPECT_EQ(on_all.trainer.n_samples(), alone.trainer.n_samples());
    }
}

TEST(Rounds, GoOnInTheirMiddleAsIfNothingHadHappened) {
  const comm::Communicator self = comm::Communicator::self();
  for (const char* objective : {"distill", "avoid"}) {
    const BodyTask a(model_folder, bodies[1], 4), b(model_folder, bodies[1], 4),
        c(model_folder, bodies[1], 4);
    RoundLearner straight(a, objective, short_rounds(), self), first(b, objective, short_rounds(), self),
        second(c, objective, short_rounds(), self);
    straight.learn(5);
    first.learn(3);
    test::MemoryState state;
    first.trainer.visit_state(state);
    EXPECT_EQ(state.id_lists.at("round_tokens").size(), 4 * state.number_lists.at("round_log_w").size());
    EXPECT_EQ(state.number_lists.at("round_log_w").size(), 30);
    state.restores = true;
    second.trainer.visit_state(state);
    second.learn(2);
    EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(second.twist->parameters()))
        << objective;
  }
}

TEST(Holdout, GivesTheSameBitsOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const BodyTask a(model_folder, bodies[1], 4), b(model_folder, bodies[1], 4);
  RoundLearner on_all(a, "distill", with_holdout(), world, 0.02),
      alone(b, "distill", with_holdout(), self, 0.02);
  EXPECT_TRUE(on_all.learn(6) == alone.learn(6));
  EXPECT_EQ(on_all.last.numbers, alone.last.numbers);
  EXPECT_EQ(on_all.last.numbers.back().first, "holdout");
}

TEST(Holdout, GoesOnInTheMiddleOfARoundAsIfNothingHadHappened) {
  const comm::Communicator self = comm::Communicator::self();
  const BodyTask a(model_folder, bodies[1], 4), b(model_folder, bodies[1], 4), c(model_folder, bodies[1], 4);
  RoundLearner straight(a, "distill", with_holdout(), self, 0.02),
      first(b, "distill", with_holdout(), self, 0.02), second(c, "distill", with_holdout(), self, 0.02);
  // The learning rate is such that the first round ends early, after the stop.
  while (straight.trainer.n_updates() < 20) straight.learn(1);
  first.learn(3);
  test::MemoryState state;
  first.trainer.visit_state(state);
  EXPECT_GT(state.number_lists.at("holdout_log_w").size(), 2);
  EXPECT_EQ(state.number_lists.at("holdout_log_w").size() + state.number_lists.at("round_log_w").size(), 30);
  state.restores = true;
  second.trainer.visit_state(state);
  int n = 3;
  for (; second.trainer.n_updates() < 20; ++n) second.learn(1);
  EXPECT_LT(n, 20) << "the round ended early";
  EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(second.twist->parameters()));
  EXPECT_EQ(straight.last.numbers, second.last.numbers);
}

TEST(Holdout, HoldsAShareOutAndLeavesSomeToLearnFrom) {
  WeightedTexts texts;
  for (std::int64_t i = 0; i < 2000; ++i) {
    texts.tokens.insert(texts.tokens.end(), {i, 7});
    texts.log_w.push_back(-static_cast<double>(i));
    texts.log_phi.push_back(0);
  }
  WeightedTexts learned = texts;
  Holdout holdout;
  holdout.begin(learned, 2, 0.25, 3);
  ASSERT_TRUE(holdout.is_active());
  // 2,000 texts with probability 0.75: a standard error of 0.0097, four of them on each side.
  EXPECT_NEAR(static_cast<double>(learned.size()) / 2000, 0.75, 0.039);
  for (std::int64_t i = 0; i < learned.size(); ++i)
    EXPECT_EQ(learned.log_w[static_cast<std::size_t>(i)],
              -static_cast<double>(learned.tokens[static_cast<std::size_t>(2 * i)]));
  WeightedTexts again = texts;
  holdout.begin(again, 2, 0.25, 4);
  EXPECT_NE(again.tokens, learned.tokens) << "another round holds others out";
  // Nothing would be left for one of the sides.
  WeightedTexts one{{5, 5}, {0}, {0}};
  holdout.begin(one, 2, 0.5, 1);
  EXPECT_FALSE(holdout.is_active());
  EXPECT_EQ(one.size(), 1);
}

TEST(Holdout, IsNotForAvoid) {
  EXPECT_THAT(test::message_of([] { (void)make_objective("avoid", with_holdout()); }),
              testing::HasSubstr("set train.holdout = 0"));
}

TEST(WeightedTexts, ComeAsOftenAsTheyCount) {
  const WeightedTexts texts{{}, {std::log(0.5), std::log(1.0), log_zero, std::log(2.5)}, {0, 0, 0, 0}};
  EXPECT_NEAR(texts.ess(), 16 / 7.5, 1e-12);
  EXPECT_NEAR(texts.log_z(), std::log(4), 1e-12);
  std::vector<double> share(4);
  constexpr int n_seeds = 4000, n = 10;
  for (std::uint64_t seed = 0; seed < n_seeds; ++seed) {
    const std::vector<std::int64_t> all = texts.choose(n, {0, n}, seed);
    ASSERT_EQ(all.size(), 10U);
    std::vector<std::int64_t> parts = texts.choose(n, {0, 3}, seed);
    for (const std::int64_t i : texts.choose(n, {3, n}, seed)) parts.push_back(i);
    ASSERT_EQ(all, parts);
    for (const std::int64_t i : all) share[static_cast<std::size_t>(i)] += 1.0 / (n_seeds * n);
    EXPECT_THAT(std::ranges::count(all, 0), testing::AnyOf(1, 2));  // of 1.25
    EXPECT_THAT(std::ranges::count(all, 3), testing::AnyOf(6, 7));  // of 6.25
  }
  // A fraction of a place more or less in each: five standard errors of 4,000.
  EXPECT_NEAR(share[0], 0.125, 5 * 0.05 / std::sqrt(n_seeds));
  EXPECT_NEAR(share[1], 0.25, 5 * 0.05 / std::sqrt(n_seeds));
  EXPECT_EQ(share[2], 0);
}

/// What can be said of q by going through all texts.
struct Enumerated {
  std::vector<double> log_q, log_p0, log_phi;
  double log_z = 0, log_mean_phi = 0, mean_log_phi = 0, kl_q_p0 = 0, kl_q_sigma = 0, kl_sigma_q = 0;
};

Enumerated enumerate(const BodyTask& task, const twist::Twist& twist) {
  const std::vector<std::int64_t> tokens = test::all_texts(task.base->vocab_size(), task.T);
  const smc::ForcedPass pass = smc::forced_pass(
      task.problem(), smc::Proposal(*task.lm, twist, smc::ProposalKind::twisted), task.T, tokens);
  Enumerated out;
  out.log_phi = task.potential.log_phi({task.prompt, tokens, task.T});
  double z = 0, mean_phi = 0;
  for (std::size_t i = 0; i < out.log_phi.size(); ++i) {
    out.log_q.push_back(0);
    out.log_p0.push_back(0);
    for (std::size_t t = i * static_cast<std::size_t>(task.T); t < (i + 1) * static_cast<std::size_t>(task.T);
         ++t) {
      out.log_q[i] += pass.log_q[t];
      out.log_p0[i] += pass.log_p0[t];
    }
    z += std::exp(out.log_p0[i] + out.log_phi[i]);
    mean_phi += std::exp(out.log_q[i] + out.log_phi[i]);
  }
  out.log_z = std::log(z);
  out.log_mean_phi = std::log(mean_phi);
  for (std::size_t i = 0; i < out.log_phi.size(); ++i) {
    const double q = std::exp(out.log_q[i]), log_sigma = out.log_p0[i] + out.log_phi[i] - out.log_z;
    out.mean_log_phi += q * out.log_phi[i];
    out.kl_q_p0 += q * (out.log_q[i] - out.log_p0[i]);
    out.kl_q_sigma += q * (out.log_q[i] - log_sigma);
    out.kl_sigma_q += std::exp(log_sigma) * (log_sigma - out.log_q[i]);
  }
  return out;
}

TEST(Distill, LowersBothExactDivergencesInEveryRound) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F);
  for (const test::BodyChoice& choice : bodies) {
    const BodyTask task(path, choice, 3);
    RoundLearner learner(task, "distill", {.positive_batch = 256, .round_updates = 40, .round_samples = 4096},
                         world);
    const Enumerated first = enumerate(task, *learner.twist);
    Enumerated before = first;
    for (int round = 0; round < 3; ++round) {
      learner.learn(40);
      const Enumerated after = enumerate(task, *learner.twist);
      RecordProperty(fmt::format("{}_{}", choice.name, round), std::to_string(after.kl_sigma_q));
      EXPECT_LT(after.kl_sigma_q, before.kl_sigma_q) << choice.name << round;
      EXPECT_LT(after.kl_q_sigma, before.kl_q_sigma) << choice.name << round;
      before = after;
    }
    EXPECT_LT(before.kl_sigma_q, 0.2 * first.kl_sigma_q) << choice.name;
    EXPECT_LT(before.kl_q_sigma, 0.2 * first.kl_q_sigma) << choice.name;
  }
}

/// Few samples: q learns them by heart, and what is left of sigma becomes improbable; with a holdout it stays
/// what it was. Enough of them: it learns, and stops early. Exact divergences by enumeration.
TEST(Holdout, KeepsFewSamplesFromBeingLearnedByHeart) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F);
  double before = 0;
  const auto after_round = [&](std::int64_t n, double share, int& n_done) {
    const BodyTask task(path, bodies[0], 3);
    RoundLearner learner(task, "distill",
                         {.positive_batch = 32, .round_updates = 40, .round_samples = n, .holdout = share},
                         world, 1e-3);
    before = enumerate(task, *learner.twist).kl_sigma_q;
    for (n_done = 0; learner.trainer.n_updates() < 40; ++n_done) learner.learn(1);
    const double after = enumerate(task, *learner.twist).kl_sigma_q;
    RecordProperty(fmt::format("kl_{}_{}", n, share), std::to_string(after));
    return after;
  };
  int n_done = 0;
  EXPECT_GT(after_round(48, 0, n_done), before + 0.3) << "the control";
  EXPECT_EQ(n_done, 40);
  EXPECT_EQ(after_round(48, 0.3, n_done), before);
  EXPECT_EQ(n_done, 8) << "two checks of four updates each";
  EXPECT_LT(after_round(512, 0.3, n_done), before - 0.1);
  EXPECT_LT(n_done, 40);
}

/// All texts of sigma with weights that are not those of any sampler, as a file may give them.
GivenTexts given_texts(const BodyTask& task, const Enumerated& exact, bool is_of_sigma = true) {
  GivenTexts given{{test::all_texts(task.base->vocab_size(), task.T), exact.log_p0, exact.log_phi},
                   "samples.jsonl"};
  if (is_of_sigma)
    for (std::size_t i = 0; i < exact.log_phi.size(); ++i) given.texts.log_w[i] += exact.log_phi[i];
  return given;
}

/// Learns away from p0, then compares one gradient from many samples with the exact loss, along the gradient
/// itself: the ratio of the two slopes, 1 if it is the gradient of that loss.
double slope_of_avoid(const BodyTask& task, const ObjectiveOptions& options, const GivenTexts& given) {
  const comm::Communicator self = comm::Communicator::self();
  ObjectiveOptions few = options;
  few.batch = few.positive_batch = 64;
  RoundLearner learner(task, "avoid", few, self, 1e-2, given);
  learner.learn(10);
  Trainer once(learner.problem, *learner.twist, make_objective("avoid", options),
               {.length = task.T, .n_shards = 4, .first_round = given}, task.source, self);
  auto before = learner.twist->parameters();
  (void)once.update();
  test::MemoryState state;
  once.visit_state(state);
  double squares = 0;
  for (const twist::Parameter& p : before)
    for (const float m : state.arrays.at("adam_m/" + p.name)) squares += 100.0 * m * m;
  const double length = 2e-2 / std::sqrt(squares);
  const auto loss_after = [&](double by) {
    learner.twist->parameters() = before;
    for (twist::Parameter& p : learner.twist->parameters()) {
      const std::vector<float>& m = state.arrays.at("adam_m/" + p.name);
      for (std::size_t i = 0; i < m.size(); ++i) p.value[i] += static_cast<float>(by * 10.0 * m[i]);
    }
    learner.twist->refresh();
    const Enumerated e = enumerate(task, *learner.twist);
    return e.log_mean_phi + options.avoid_kl * e.kl_q_p0 + options.avoid_reward * e.mean_log_phi;
  };
  return (loss_after(length) - loss_after(-length)) / (2 * length * squares);
}

TEST(Avoid, FollowsTheExactGradientOfTheBadProbabilityAndTheReward) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F);
  const ObjectiveOptions many{
      .batch = 8192, .positive_batch = 32768, .round_samples = 131072, .avoid_kl = 0.5, .avoid_reward = 0.3};
  const BodyTask task(path, bodies[0], 2), other(path, bodies[0], 2), wrong(path, bodies[0], 2);
  // The noise of so many samples takes about a hundredth of the slope.
  EXPECT_NEAR(slope_of_avoid(task, many, {}), 1, 0.04);
  const Enumerated exact = enumerate(other, *other.make_twist("ratio"));
  EXPECT_NEAR(slope_of_avoid(other, many, given_texts(other, exact)), 1, 0.04);
  // The control: samples that are not sigma's.
  EXPECT_GT(std::abs(slope_of_avoid(wrong, many, given_texts(wrong, exact, /*is_of_sigma=*/false)) - 1), 0.1);
}

TEST(Avoid, LowersTheProbabilityAndStaysNearTheBaseModel) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const test::TemporaryFolder folder;
  const auto path = test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F);
  std::map<double, Enumerated> after;
  double log_change = 0;
  for (const double kl : {0.2, 5.0}) {
    const BodyTask task(path, bodies[1], 2);
    RoundLearner learner(
        task, "avoid",
        {.batch = 128, .positive_batch = 128, .round_updates = 30, .round_samples = 2048, .avoid_kl = kl},
        world);
    const Enumerated before = enumerate(task, *learner.twist);
    EXPECT_NEAR(before.kl_q_p0, 0, 1e-6);
    learner.learn(61);
    after[kl] = enumerate(task, *learner.twist);
    EXPECT_LT(after[kl].log_mean_phi, before.log_z) << kl;
    for (const auto& [name, value] : learner.last.numbers)
      if (name == "log_change") log_change = value - (after[kl].log_mean_phi - before.log_z);
    EXPECT_NEAR(log_change, 0, 0.2) << "what is reported is what has changed, up to one update and noise";
  }
  EXPECT_LT(after[0.2].log_mean_phi, after[5.0].log_mean_phi - 0.5);
  EXPECT_LT(after[5.0].kl_q_p0, 0.5 * after[0.2].kl_q_p0);
}

TEST(Rounds, RefuseSamplesOfAnotherTarget) {
  const comm::Communicator self = comm::Communicator::self();
  const test::TemporaryFolder folder;
  const BodyTask task(test::make_random_gpt2(folder.path() / "model", 7, 32, 2, 2, 8, 0.3F), bodies[1], 2);
  const GivenTexts good = given_texts(task, enumerate(task, *task.make_twist("ratio")));
  const auto refusal = [&](const auto& spoil) {
    GivenTexts given = good;
    spoil(given);
    return test::message_of([&] { RoundLearner(task, "distill", short_rounds(), self, 1e-3, given); });
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal([](GivenTexts& g) { g.texts.log_phi[5] += 1; }), HasSubstr("log phi of sample 5"));
  EXPECT_THAT(refusal([](GivenTexts& g) { g.texts.tokens[3] = 7; }), HasSubstr("there is no token 7"));
  EXPECT_THAT(refusal([](GivenTexts& g) { g.texts.tokens.pop_back(); }), HasSubstr("target.length = 2"));
  EXPECT_THAT(refusal([](GivenTexts& g) { std::ranges::fill(g.texts.log_w, log_zero); }),
              HasSubstr("no sample has a weight"));
  RoundLearner learner(task, "distill", short_rounds(), self, 1e-3, good);
  learner.learn(1);
  EXPECT_EQ(learner.trainer.n_samples(), 0) << "the first round draws nothing";
}

}  // namespace
}  // namespace twistor::learn
