// SPDX-License-Identifier: Apache-2.0
// Learning: the same bits on every number of ranks, a zero gradient at the optimum, and twists that get
// better.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "support/engines.hpp"
#include "support/no_shared_memory.hpp"
#include "support/pmpi_count.hpp"
#include "support/tabular_problem.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/learn/contrast.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

using test::Learner;
using test::TinyTask;

constexpr Positives every_kind[] = {Positives::exact, Positives::weighted, Positives::both, Positives::smc,
                                    Positives::conditional};

ObjectiveOptions ctl_options(Positives positives) {
  return {.batch = 26, .positive_batch = 11, .positives = positives, .anneal_ess = 20};  // of 26
}

std::vector<std::vector<float>> learn(const TinyTask& task, const std::string& form,
                                      const ObjectiveOptions& options, const comm::Communicator& comm,
                                      std::int64_t updates) {
  return test::values_of(Learner(task, form, make_objective("ctl", options), comm).learn(updates));
}

TEST(Training, IsTheSameToTheLastBitOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const TinyTask task(precision);
    for (const char* form : {"linear", "mlp", "tied_linear", "tied_mlp"})
      for (const Positives positives : every_kind)
        EXPECT_TRUE(learn(task, form, ctl_options(positives), world, 4) ==
                    learn(task, form, ctl_options(positives), self, 4))
            << form;
  }
}

TEST(Training, WithAnnealingIsTheSameOnEveryNumberOfRanksAndNotTheSameAsWithout) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  ObjectiveOptions options = ctl_options(Positives::weighted);
  const auto plain = learn(task, "tied_linear", options, self, 4);
  options.anneal = 2;
  const auto annealed = learn(task, "tied_linear", options, self, 4);
  EXPECT_TRUE(learn(task, "tied_linear", options, world, 4) == annealed);
  EXPECT_NE(plain[0], annealed[0]);
}

TEST(Training, WithInnerEpochsIsTheSameOnEveryNumberOfRanksAndTakesAsManySteps) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  ObjectiveOptions options = ctl_options(Positives::both);
  const auto once = learn(task, "mlp", options, self, 2);
  options.inner_epochs = 3;
  const auto thrice = learn(task, "mlp", options, self, 2);
  EXPECT_TRUE(learn(task, "mlp", options, world, 2) == thrice);
  EXPECT_NE(once[0], thrice[0]);
  Learner learner(task, "mlp", make_objective("ctl", options), self);
  learner.learn(2);
  test::MemoryState state;
  learner.trainer.visit_state(state);
  EXPECT_EQ(state.counts.at("update"), 2);
  EXPECT_EQ(state.counts.at("adam_step"), 6);
}

TEST(Training, ChangesTheTwist) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  for (const char* form : {"mlp", "tied_mlp"}) {
    const auto a = learn(task, form, ctl_options(Positives::exact), self, 0),
               b = learn(task, form, ctl_options(Positives::exact), self, 1);
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NE(a[i], b[i]) << form << i;
  }
}

/// On 3 and 5 ranks some have no shard: they hold no sample of a batch and still end with the same twist.
TEST(Training, RanksBeyondTheShardsIdleAndChangeNothing) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  for (const std::int64_t n_shards : {1, 2})
    for (const char* form : {"linear", "mlp", "tied_mlp"})
      for (const Positives positives : every_kind) {
        ObjectiveOptions options = ctl_options(positives);
        options.inner_epochs = 2;  // rescoring, too, meets ranks without samples
        Learner together(task, form, make_objective("ctl", options), world, n_shards),
            alone(task, form, make_objective("ctl", options), self, n_shards);
        EXPECT_TRUE(test::values_of(together.learn(3)) == test::values_of(alone.learn(3)))
            << form << n_shards;
        EXPECT_EQ(together.last.loss, alone.last.loss);
        EXPECT_EQ(together.last.numbers, alone.last.numbers);
      }
}

TEST(Training, RefusesToLearnFromExactSamplesThatAreNotThere) {
  const comm::Communicator self = comm::Communicator::self();
  TinyTask task;
  task.source.n = 0;
  EXPECT_THROW(Learner(task, "linear", make_objective("ctl", ctl_options(Positives::both)), self), Error);
  EXPECT_NO_THROW(Learner(task, "linear", make_objective("ctl", ctl_options(Positives::weighted)), self));
}

TEST(Training, GoesOnFromItsStateAsIfNothingHadHappened) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  Learner straight(task, "mlp", make_objective("ctl", ctl_options(Positives::both)), self),
      first(task, "mlp", make_objective("ctl", ctl_options(Positives::both)), self),
      second(task, "mlp", make_objective("ctl", ctl_options(Positives::both)), self);
  straight.learn(4);
  first.learn(2);
  test::MemoryState state;
  first.trainer.visit_state(state);
  state.restores = true;
  second.trainer.visit_state(state);
  EXPECT_EQ(second.trainer.n_updates(), 2);
  second.learn(2);
  EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(second.twist->parameters()));
  test::MemoryState a, b;
  straight.trainer.visit_state(a);
  second.trainer.visit_state(b);
  EXPECT_TRUE(a.arrays == b.arrays) << "moments";
  EXPECT_EQ(a.counts, b.counts);
}

/// Whole moments are on the first rank, which writes checkpoints; here it tells the others.
void share_first_ranks(test::MemoryState& state, const comm::Communicator& world) {
  for (auto& [name, values] : state.arrays) {
    auto size = static_cast<std::int64_t>(values.size());
    size = comm::broadcast_value(size, world);
    values.resize(static_cast<std::size_t>(size));
    comm::broadcast(std::span(values), 0, world);
  }
}

/// All parameters are divided, those with fewer rows than ranks too; `from` ranks learn and `to` go on.
void expect_division_changes_nothing(const TinyTask& task, const std::string& form,
                                     const comm::Communicator& from, const comm::Communicator& to) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const auto learner = [&](const comm::Communicator& comm, std::size_t divided_from) {
    return Learner(task, form, make_objective("ctl", ctl_options(Positives::both)), comm, 8,
                   {.clip_norm = 0.5, .divided_from = divided_from});
  };
  Learner straight = learner(self, least_divided_moments), first = learner(from, 1), second = learner(to, 1);
  straight.learn(4);
  first.learn(2);
  test::MemoryState state, a, b;
  first.trainer.visit_state(state);
  share_first_ranks(state, world);
  state.restores = true;
  second.trainer.visit_state(state);
  second.learn(2);
  EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(second.twist->parameters()));
  straight.trainer.visit_state(a);
  second.trainer.visit_state(b);
  share_first_ranks(b, world);
  EXPECT_TRUE(a.arrays == b.arrays) << "moments";
  // What the ranks keep is what one rank keeps, once.
  const std::size_t whole = straight.trainer.moment_bytes(), mine = second.trainer.moment_bytes();
  EXPECT_EQ(comm::all_reduce_sum(mine, to), whole);
  EXPECT_LE(mine, whole / static_cast<std::size_t>(to.size()) + 4096);
}

TEST(Training, DividedMomentsGiveTheSameBitsAndGoOnOnAnyNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  for (const char* form : {"linear", "tied_mlp"}) {
    expect_division_changes_nothing(task, form, world, world);
    expect_division_changes_nothing(task, form, world, self);
    expect_division_changes_nothing(task, form, self, world);
  }
}

/// Values, gradients and moments are tensors: every rank has all of them, and a state goes from engine to
/// engine.
TEST(Training, OnTensorsIsThatOfMainMemoryUpToRounding) {
  comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) world.carry_tensors_by(comm::make_tensor_collectives(world, at::kCPU));
  const ObjectiveOptions options{.batch = 10, .positive_batch = 5, .positives = Positives::exact};
  const TinyTask task, on_tensors(device::Precision::float32, test::engine_named("aten"));
  for (const char* form : {"linear", "mlp"}) {
    const auto learner = [&](const TinyTask& of, GradientSums sums) {
      return Learner(of, form, make_objective("ctl", options), world, 5,
                     {.clip_norm = 0.5, .divided_from = 1, .sums = sums});
    };
    Learner plain = learner(task, GradientSums::in_main_memory),
            tensors = learner(on_tensors, GradientSums::on_device),
            second = learner(on_tensors, GradientSums::on_device);
    const auto expect_close = [&](const std::vector<twist::Parameter>& a,
                                  const std::vector<twist::Parameter>& b) {
      // By length: where a gradient is next to nothing, Adam makes a whole step of its rounding.
      double apart = 0, moved = 0;
      const auto start = test::values_of(learner(task, GradientSums::in_main_memory).twist->parameters());
      for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; j < a[i].value.size(); ++j) {
          const auto number = static_cast<double>(a[i].value[j]);
          apart += std::pow(number - static_cast<double>(b[i].value[j]), 2);
          moved += std::pow(number - static_cast<double>(start[i][j]), 2);
        }
      EXPECT_LT(std::sqrt(apart), 0.02 * std::sqrt(moved));
    };
    expect_close(plain.learn(2), tensors.learn(2));
    test::MemoryState state;
    tensors.trainer.visit_state(state);
    EXPECT_EQ(state.arrays.at("adam_m/output.weight").size(),
              tensors.twist->parameters()[form == std::string("mlp") ? 4 : 0].value.size())
        << "whole on every rank";
    state.restores = true;
    second.trainer.visit_state(state);
    Learner back = learner(task, GradientSums::in_main_memory);
    back.trainer.visit_state(state);
    EXPECT_TRUE(test::values_of(second.learn(2)) == test::values_of(tensors.learn(2)));
    expect_close(back.learn(2), tensors.twist->parameters());
  }
}

TEST(Training, ValuesInCommonGiveTheSameBitsAndGoOnOnAnyNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    TinyTask task(precision);
    task.has_values_in_common = true;
    for (const char* form : {"linear", "mlp"}) {
      expect_division_changes_nothing(task, form, world, world);
      expect_division_changes_nothing(task, form, world, self);
      expect_division_changes_nothing(task, form, self, world);
      for (const std::int64_t n_shards : {1, 8}) {  // on some ranks no sample of a batch, too
        Learner together(task, form, make_objective("ctl", ctl_options(Positives::both)), world, n_shards),
            alone(task, form, make_objective("ctl", ctl_options(Positives::both)), self, n_shards);
        EXPECT_TRUE(test::values_of(together.learn(3)) == test::values_of(alone.learn(3))) << form;
        EXPECT_EQ(together.last.numbers, alone.last.numbers);
      }
    }
  }
}

/// The last rank that writes some of them: a matrix may have fewer panels than there are ranks.
int last_with_part(const twist::Values& values, const comm::Communicator& world) {
  return comm::all_reduce_max(values.part().empty() ? 0 : world.rank(), world);
}

/// A value that one rank writes is the one that the others read.
TEST(Training, ValuesInCommonExistOnce) {
  const comm::Communicator world = comm::Communicator::world();
  TinyTask task;
  task.has_values_in_common = true;
  Learner learner(task, "linear", make_objective("ctl", ctl_options(Positives::both)), world);
  twist::Values& values = learner.twist->parameters().front().value;
  if (world.size() == 1) {
    EXPECT_EQ(values.common(), nullptr);
    EXPECT_EQ(values.part().size(), values.size());
    return;
  }
  ASSERT_NE(values.common(), nullptr);
  EXPECT_EQ(comm::all_reduce_sum(values.part().size(), world), values.size());
  for (float& value : values.part()) value = static_cast<float>(world.rank());
  values.common()->meet();
  EXPECT_EQ(std::ranges::max(values), static_cast<float>(last_with_part(values, world)));
  const twist::Values copy = values;
  EXPECT_EQ(copy.common(), nullptr);
  EXPECT_EQ(copy, values);
}

TEST(Training, WithoutRoomForValuesInCommonEachRankHasItsOwn) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  if (world.size() == 1) GTEST_SKIP() << "one rank has its own";
  TinyTask task;
  task.has_values_in_common = true;
  const test::NoSharedMemory no_room;
  Learner together(task, "mlp", make_objective("ctl", ctl_options(Positives::both)), world),
      alone(task, "mlp", make_objective("ctl", ctl_options(Positives::both)), self);
  for (const twist::Parameter& p : together.twist->parameters()) EXPECT_EQ(p.value.common(), nullptr);
  EXPECT_TRUE(test::values_of(together.learn(2)) == test::values_of(alone.learn(2)));
}

TEST(Training, GoesOnWithItsOwnObjectiveAndLinkAlone) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  Learner learner(task, "linear", make_objective("ctl", ctl_options(Positives::exact)), self);
  learner.learn(1);
  test::MemoryState state;
  learner.trainer.visit_state(state);
  EXPECT_EQ(state.texts.at("objective"), "ctl");
  EXPECT_EQ(state.texts.at("link"), "identity");
  state.restores = true;
  EXPECT_NO_THROW(learner.trainer.visit_state(state));
  const auto refuses = [&](const std::string& words) {
    try {
      learner.trainer.visit_state(state);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      EXPECT_THAT(error.what(), testing::HasSubstr(words));
    }
  };
  state.texts["link"] = "log_sigmoid";
  refuses("its link is log_sigmoid");
  state.texts["objective"] = "sixo";
  refuses("train.objective = sixo, this run has ctl");
}

/// All V^T sequences as one population with a flat q: softmaxes over it are exact expectations.
smc::Population every_sequence(const test::TabularProblem& tabular, const twist::Twist& twist,
                               std::vector<double>& log_phi) {
  std::int64_t n = 1;
  for (std::int64_t t = 0; t < tabular.T; ++t) n *= tabular.V;
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = i;
  smc::Population p(tabular.T, ids);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = tabular.T - 1, code = i; t >= 0; --t, code /= tabular.V)
      p.tokens[p.at(i, t)] = code % tabular.V;
  const smc::Proposal proposal(tabular.lm, twist, smc::ProposalKind::base);
  const smc::ForcedPass pass = smc::forced_pass(tabular.problem(), proposal, tabular.T, p.tokens);
  p.log_p0 = pass.log_p0;
  p.log_psi = pass.log_psi;
  std::fill(p.log_q.begin(), p.log_q.end(), -std::log(static_cast<double>(tabular.V)));
  log_phi = tabular.potential.log_phi({tabular.prompt, p.tokens, tabular.T});
  return p;
}

/// Gradient of the exact CTL loss by log psi_t(s_{1:t}), for every prefix.
std::map<test::Tokens, double> exact_gradient(const test::TabularProblem& tabular,
                                              const twist::Twist& twist) {
  std::vector<double> log_phi;
  const smc::Population p = every_sequence(tabular, twist, log_phi);
  const comm::Communicator self = comm::Communicator::self();
  const Negatives negatives = negative_weights(p, self);
  const std::vector<double> positives = positive_weights(p, log_phi, self).value();
  std::map<test::Tokens, double> gradient;
  for (std::int64_t i = 0; i < p.size(); ++i)
    for (std::int64_t t = 0; t < p.T; ++t) {
      const auto begin = p.tokens.begin() + i * p.T;
      gradient[test::Tokens(begin, begin + t + 1)] +=
          (negatives.weight[p.at(i, t)] - positives[static_cast<std::size_t>(i)]) / static_cast<double>(p.T);
    }
  return gradient;
}

TEST(Contrast, WeightsOfAllStepsCostOneReduction) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  std::vector<double> log_phi;
  const smc::Population p = every_sequence(tabular, tabular.optimal_twist, log_phi);
  pmpi::reset();
  (void)negative_weights(p, world);
  EXPECT_EQ(pmpi::read().collectives(), 1);
  pmpi::reset();
  (void)annealed_power(p, log_phi, 1e9, world);  // no power has that
  EXPECT_EQ(pmpi::read().collectives(), 1);
}

TEST(Contrast, ExactGradientVanishesAtTheOptimalTwistsOnly) {
  const test::TabularProblem tabular;
  for (const auto& [prefix, g] : exact_gradient(tabular, tabular.optimal_twist)) EXPECT_NEAR(g, 0.0, 1e-13);
  double largest = 0;
  for (const auto& [prefix, g] : exact_gradient(tabular, tabular.rough_twist))
    largest = std::max(largest, std::abs(g));
  EXPECT_GT(largest, 1e-3);  // the control
}

TEST(Contrast, HasNoPositivesWherePhiIsZero) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  std::vector<double> log_phi;
  const smc::Population p = every_sequence(tabular, tabular.rough_twist, log_phi);
  std::fill(log_phi.begin(), log_phi.end(), -std::numeric_limits<double>::infinity());
  EXPECT_FALSE(positive_weights(p, log_phi, world).has_value());
  log_phi.back() = -3;
  EXPECT_DOUBLE_EQ(positive_weights(p, log_phi, world).value().back(), 1.0 / world.size());
}

}  // namespace
}  // namespace twistor::learn
