// SPDX-License-Identifier: Apache-2.0
// Conditional twists: what they reach on a target that is enumerated for every observation, the same bits on
// any number of ranks and after a resume, and positives that are samples of sigma.
#include "twistor/learn/conditional.hpp"

#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "learn/islands.hpp"
#include "support/error_of.hpp"
#include "support/joint_task.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/absorbing.hpp"

namespace twistor::learn {
namespace {

TrainOptions options_of(std::int64_t n_updates, std::int64_t n_shards) {
  TrainOptions out{.length = test::JointTask::T, .n_shards = n_shards, .n_updates = n_updates};
  out.adam.learning_rate = 3e-3;
  out.decay = Decay::linear;
  return out;
}

struct Case {
  const char* name;
  std::int64_t batch, positives, observations, inner_epochs;
  double most;  // of E_o[KL(q || sigma)], in nats
};

class Conditionals : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] static ObjectiveOptions objective_options() {
    const Case& c = GetParam();
    return {.batch = c.batch,
            .positive_batch = c.positives,
            .observations = c.observations,
            .positives = Positives::exact,
            .inner_epochs = c.inner_epochs};
  }
};

TEST_P(Conditionals, ComeCloseToTheTargetsOfAllObservations) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self();
  test::JointLearner learner(task, GetParam().name, objective_options(), self, options_of(1200, 1));
  const double before = task.mean_kl(*learner.twist);
  EXPECT_GT(before, 0.3);
  for (int i = 0; i < 1200; ++i) (void)learner.trainer.update();
  const double after = task.mean_kl(*learner.twist);
  RecordProperty("mean_kl_q_sigma", std::to_string(after));
  fmt::print("{}: {:.4f} -> {:.4f}\n", GetParam().name, before, after);
  EXPECT_LT(after, GetParam().most);
}

TEST_P(Conditionals, HaveTheSameBitsOnAnyNumberOfRanks) {
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self(), world = comm::Communicator::world();
  test::JointLearner alone(task, GetParam().name, objective_options(), self, options_of(3, 4)),
      together(task, GetParam().name, objective_options(), world, options_of(3, 4));
  for (int i = 0; i < 3; ++i) {
    const UpdateReport one = alone.trainer.update(), all = together.trainer.update();
    EXPECT_EQ(one.loss, all.loss);
    EXPECT_EQ(one.numbers, all.numbers);
  }
  EXPECT_EQ(test::values_of(alone.twist->parameters()), test::values_of(together.twist->parameters()));
}

TEST_P(Conditionals, GoOnFromASavedStateAsIfNothingHadHappened) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self();
  test::JointLearner whole(task, GetParam().name, objective_options(), self, options_of(4, 2)),
      first(task, GetParam().name, objective_options(), self, options_of(4, 2)),
      second(task, GetParam().name, objective_options(), self, options_of(4, 2));
  for (int i = 0; i < 4; ++i) (void)whole.trainer.update();
  for (int i = 0; i < 2; ++i) (void)first.trainer.update();
  test::MemoryState state;
  first.trainer.visit_state(state);
  state.restores = true;
  second.trainer.visit_state(state);
  for (int i = 0; i < 2; ++i) (void)second.trainer.update();
  EXPECT_EQ(test::values_of(whole.twist->parameters()), test::values_of(second.twist->parameters()));
  EXPECT_NE(test::values_of(whole.twist->parameters()), test::values_of(first.twist->parameters()));
}

constexpr Case cases[] = {{"ctl", 128, 128, 16, 1, 0.05}, {"dpg", 16, 64, 16, 4, 0.05},
                          {"rl", 32, 32, 16, 4, 0.05},    {"sixo", 64, 64, 16, 1, 0.08},
                          {"fudge", 64, 16, 16, 4, 0.05}, {"ppo", 64, 16, 16, 4, 0.04}};
INSTANTIATE_TEST_SUITE_P(All, Conditionals, testing::ValuesIn(cases),
                         [](const auto& test) { return std::string(test.param.name); });

/// As Islands::draw(), one island after another.
std::vector<Batch> batches_of(const Island& island, const Objective& objective,
                              const twist::Trainable& twist) {
  const comm::Communicator self = comm::Communicator::self();
  const exact::Source exact{1, [&](std::int64_t) { return island.sample; }};
  BatchSource source(island.problem(), test::JointTask::T, Shards(1, self), exact, self);
  std::vector<Batch> out;
  std::int64_t n_sweeps = 0;
  smc::SweepCounters counters;
  for (const Request& request : objective.wants())
    out.push_back(request.source == Source::exact
                      ? source.expand(request, twist, objective.may_resample(), island.seed, counters)
                      : source.draw(request, n_sweeps++, twist, island.seed, counters));
  return out;
}

// All islands of a rank go through the model together, which must not show in a single bit.
TEST(Together, IslandsDrawWhatEachDrawsAlone) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "islands know no ranks";
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self();
  const auto ending = model::make_end_absorbing(task.lm, {3}, nullptr, 2);
  const smc::ConditionalProblem ends(ending, nullptr, task.prompt, *task.potential, model::Condition::tokens);
  constexpr std::int64_t m = 6;
  for (const smc::ConditionalProblem* const problems : {&task.problems, &ends})
    for (const std::string name : {"ctl", "rl", "sixo", "fudge", "dpg", "ppo"})
      for (const std::int64_t n : {1, 5}) {
        const ObjectiveOptions options{.batch = n * m,
                                       .positive_batch = n * m,
                                       .observations = m,
                                       .positives = name == "ctl" ? Positives::both : Positives::exact};
        const auto objective = make_objective(name, options.per_observation());
        const auto twist = twist::make_twist("mlp", {.width = task.lm->feature_size(),
                                                     .vocab_size = test::JointTask::V,
                                                     .init_scale = 2.0,
                                                     .seed = 6,
                                                     .link = objective->link(),
                                                     .has_value = objective->has_value(),
                                                     .condition_width = problems->encoding_width()});
        const Shards shards(1, self);
        const Conditional conditional{*problems, task.pairs, m};
        ConditionalIslands islands(conditional, test::JointTask::T, shards, self);
        UpdateTimes times;
        islands.draw(*objective, *twist, 3, 0, times);
        ASSERT_EQ(islands.of_shard(0).size(), m);
        for (const Island& island : islands.of_shard(0)) {
          const std::vector<Batch> alone = batches_of(island, *objective, *twist);
          ASSERT_EQ(alone.size(), island.batches.size());
          for (std::size_t b = 0; b < alone.size(); ++b) {
            const Batch &x = island.batches[b], &y = alone[b];
            const std::string where = name + " " + std::to_string(n) + " " + std::to_string(b);
            EXPECT_EQ(x.samples.ids, y.samples.ids) << where;
            EXPECT_EQ(x.samples.tokens, y.samples.tokens) << where;
            EXPECT_EQ(x.samples.log_p0, y.samples.log_p0) << where;
            EXPECT_EQ(x.samples.log_psi, y.samples.log_psi) << where;
            EXPECT_EQ(x.samples.log_q, y.samples.log_q) << where;
            EXPECT_EQ(x.samples.log_w, y.samples.log_w) << where;
            EXPECT_EQ(x.log_phi, y.log_phi) << where;
            EXPECT_EQ(x.weight, y.weight) << where;
            EXPECT_EQ(x.log_q, y.log_q) << where;
            EXPECT_EQ(x.value, y.value) << where;
            EXPECT_TRUE(x.log_z == y.log_z || (std::isnan(x.log_z) && std::isnan(y.log_z))) << where;
            ASSERT_EQ(x.hidden.size(), y.hidden.size());
            for (std::size_t i = 0; i < x.hidden.size(); ++i)
              EXPECT_TRUE(at::equal(x.hidden[i], y.hidden[i])) << where;
          }
        }
      }
}

// One scale for all observations (Zhao et al. 2024 standardise over the batch); one sample of each will do.
TEST(Ppo, StandardisesAdvantagesOverAllObservations) {
  const test::JointTask task;
  const comm::Communicator world = comm::Communicator::world();
  constexpr std::int64_t m = 12, T = test::JointTask::T;
  for (const std::int64_t n : {1, 4}) {
    const ObjectiveOptions options{.batch = n * m, .positive_batch = m, .observations = m};
    test::JointLearner learner(task, "ppo", options, world, options_of(1, 4));
    const auto objective = make_objective("ppo", options.per_observation());
    const Shards shards(4, world);
    ConditionalIslands islands(learner.conditional, T, shards, world);
    UpdateTimes times;
    islands.draw(*objective, *learner.twist, 3, 0, times);
    (void)islands.terms(*objective, *learner.twist, 0, [](Terms& terms, std::span<const Batch> batches) {
      terms.on_value.resize(batches.size());
      terms.on_log_q.resize(batches.size());
    });
    // Nothing has moved yet, so these are - advantage / (m n T).
    FixedPointSum sums[3];
    for (std::int64_t s = 0; s < shards.n_local; ++s)
      for (const Island& island : islands.of_shard(s)) {
        FixedPointSum of_island;
        for (const double x : island.terms.on_log_q[0]) {
          const double advantage = -x * static_cast<double>(m * n * T);
          sums[0].add(advantage);
          sums[1].add(advantage * advantage);
          of_island.add(advantage);
        }
        sums[2].add(std::abs(of_island.value()));
      }
    comm::all_reduce(std::span(sums), world);
    EXPECT_NEAR(sums[0].value(), 0, 1e-9);
    EXPECT_NEAR(sums[1].value(), static_cast<double>(m * n * T), 1e-4);
    EXPECT_GT(sums[2].value(), 1) << "no observation's own advantages need have mean 0";
  }
}

TEST(Positives, OfConditionalSmcAreSamplesOfSigmaOnAverage) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  // f(s, o) = log p(o | s): its mean over pairs is that over weighted particles around their sequences.
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self();
  const auto twist = twist::make_twist("mlp", {.width = task.lm->feature_size(),
                                               .vocab_size = test::JointTask::V,
                                               .init_scale = 2.0,
                                               .seed = 5,
                                               .condition_width = task.problems.encoding_width()});
  constexpr std::int64_t n = 1500;
  std::vector<std::int64_t> indices(n);
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  const exact::JointDraws pairs = task.pairs.draw(indices, 3);
  for (const bool may_resample : {true, false}) {
    double sum = 0, squares = 0, wrong = 0, n_equal = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const auto given = task.problems.given({&pairs.observations.tokens[i], 1});
      const auto at = pairs.sequences.tokens.begin() + static_cast<std::ptrdiff_t>(i) * test::JointTask::T;
      const exact::Source exact{
          1, [&](std::int64_t) { return std::vector<std::int64_t>(at, at + test::JointTask::T); }};
      BatchSource source(given->problem(), test::JointTask::T, Shards(1, self), exact, self);
      smc::SweepCounters counters;
      const Batch batch = source.expand({Source::exact, 4}, *twist, may_resample, 100 + i, counters);
      double total = 0, weighted = 0, alike = 0;
      for (std::size_t k = 0; k < 4; ++k) {
        total += batch.weight[k];
        weighted += batch.weight[k] * batch.log_phi[k];
        alike += batch.log_phi[k] / 4;
      }
      EXPECT_NEAR(total, 1, 1e-12);
      n_equal += std::equal(at, at + test::JointTask::T, batch.samples.tokens.begin()) ? 1 : 0;
      const double difference = weighted - pairs.observations.log_p0[i];
      sum += difference;
      squares += difference * difference;
      wrong += alike - pairs.observations.log_p0[i];
    }
    // 4 standard errors: a false alarm in 16,000 seeds.
    const double se = std::sqrt(squares) / static_cast<double>(n);
    EXPECT_LT(std::abs(sum / n), 4 * se) << may_resample;
    // Particles that count alike are none.
    if (!may_resample) {
      EXPECT_GT(std::abs(wrong / n), 8 * se);
    }
    EXPECT_GT(n_equal, 0);
  }
}

TEST(Bounds, HoldForEveryObservation) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const test::JointTask task;
  const comm::Communicator self = comm::Communicator::self();
  const auto twist = twist::make_twist("mlp", {.width = task.lm->feature_size(),
                                               .vocab_size = test::JointTask::V,
                                               .init_scale = 2.0,
                                               .seed = 6,
                                               .condition_width = task.problems.encoding_width()});
  constexpr std::uint64_t n = 400;
  for (std::int64_t o = 0; o < test::JointTask::V; ++o) {
    const auto given = task.problems.given({&o, 1});
    const smc::Problem& problem = given->problem();
    const exact::Enumeration sigma =
        exact::enumerate(*task.lm, problem.potential, task.prompt, test::JointTask::T);
    const smc::Proposal proposal(problem.lm, *twist, smc::ProposalKind::twisted);
    smc::SweepOptions options;
    options.particles = 4;
    options.length = test::JointTask::T;
    double z = 0, squares = 0, inverse = 0, inverse_squares = 0, lower = 0, upper = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      options.seed = 1000 * static_cast<std::uint64_t>(o) + i;
      const double below = smc::sweep(problem, proposal, options, self).log_z - sigma.log_z();
      const std::vector<std::int64_t> pinned = sigma.draw(3, static_cast<std::int64_t>(i));
      const double above =
          smc::sweep(problem, proposal, options, self, std::span(pinned)).log_z - sigma.log_z();
      lower += below / n;
      upper += above / n;
      z += std::exp(below) / n;
      squares += std::exp(2 * below) / n;
      inverse += std::exp(-above) / n;
      inverse_squares += std::exp(-2 * above) / n;
    }
    // E[Z_hat] = Z and Z E[1 / Z_hat] = 1, within 4 standard errors: 14 tests, a false alarm in 1,100 seeds.
    EXPECT_NEAR(z, 1, 4 * std::sqrt((squares - z * z) / n)) << o;
    EXPECT_NEAR(inverse, 1, 4 * std::sqrt((inverse_squares - inverse * inverse) / n)) << o;
    EXPECT_LT(lower, 0) << o;
    EXPECT_GT(upper, 0) << o;
  }
}

TEST(Observations, ShareTheBatchesAlikeOrAreRefused) {
  const ObjectiveOptions options{.batch = 100, .positive_batch = 50, .observations = 25};
  EXPECT_EQ(options.per_observation().batch, 4);
  EXPECT_EQ(options.per_observation().positive_batch, 2);
  EXPECT_THAT(
      test::message_of([] { (void)ObjectiveOptions{.batch = 10, .observations = 4}.per_observation(); }),
      testing::HasSubstr("train.observations = 4 observations cannot share train.batch = 10"));
}

}  // namespace
}  // namespace twistor::learn
