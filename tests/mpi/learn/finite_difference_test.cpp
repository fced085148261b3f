// SPDX-License-Identifier: Apache-2.0
// Every objective with every form of head by finite differences: from its loss to its terms, and from its
// terms to the gradient of all parameters.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "support/tiny_learning.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::learn {
namespace {

constexpr std::int64_t T = test::TinyTask::T;

/// The batches that the first update of a Learner draws, and the terms that it learns from.
struct FirstUpdate {
  FirstUpdate(const test::TinyTask& of, const Objective& what, const twist::Trainable& twist)
      : task(of), objective(what), batches(task.problem, T, Shards(8, self), task.source, self) {
    const std::uint64_t seed = derive_seed(TrainOptions{}.seed, Stream::update, 0);
    std::int64_t n_sweeps = 0, n_own = 0;
    smc::SweepCounters counters;
    for (const Request& request : objective.wants()) {
      std::int64_t& number = request.source == Source::exact ? n_own : n_sweeps;
      drawn.push_back(batches.draw(request, number++, twist, seed, counters));
    }
  }

  [[nodiscard]] Terms terms(const twist::Twist& twist) const {
    std::vector<FixedPointSum> sums(static_cast<std::size_t>(objective.n_sums()));
    objective.add_sums(drawn, {task.problem, twist, 0}, sums);
    return objective.terms(drawn, {task.problem, twist, 0, sums}, self);
  }

  const comm::Communicator self = comm::Communicator::self();
  const test::TinyTask& task;
  const Objective& objective;
  BatchSource batches;
  std::vector<Batch> drawn;
};

/// What log psi comes from.
double score_of(double log_psi, twist::Link link) {
  return link == twist::Link::identity ? log_psi : log_psi - std::log(-std::expm1(log_psi));
}

/// One step on its samples.
std::unique_ptr<Objective> objective_of(const std::string& name) {
  return make_objective(name,
                        {.batch = 13,
                         .positive_batch = 11,
                         .positives = name == "ctl" || name == "dpg" ? Positives::both : Positives::exact,
                         .inner_epochs = 1});
}

class GradientOfParameters : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

// The terms are the derivatives of the loss by scores, log q and values. With them fixed, the sum of their
// products has the gradient that Adam has seen, which is a tenth of its first moment after one step.
TEST_P(GradientOfParameters, IsThatOfFiniteDifferences) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const comm::Communicator self = comm::Communicator::self();
  const auto& [name, form] = GetParam();
  const test::TinyTask task;
  const auto objective = objective_of(name);
  test::Learner learner(task, form, objective_of(name), self);
  twist::Trainable& twist = *learner.twist;
  FirstUpdate first(task, *objective, twist);
  const Terms terms = first.terms(twist);
  const auto before = twist.parameters();
  learner.learn(1);
  ASSERT_EQ(learner.last.skipped, "");
  test::MemoryState state;
  learner.trainer.visit_state(state);

  const auto at = [](const std::vector<std::vector<double>>& all, std::size_t b, std::size_t i) {
    return b < all.size() && i < all[b].size() ? all[b][i] : 0.0;
  };
  const auto sum = [&] {
    double out = 0;
    for (std::size_t b = 0; b < first.drawn.size(); ++b) {
      Batch& batch = first.drawn[b];
      first.batches.rescore(batch, twist);
      for (std::size_t i = 0; i < batch.samples.tokens.size(); ++i) {
        out += at(terms.on_score, b, i) * score_of(batch.samples.log_psi[i], twist.link());
        if (!batch.log_q.empty()) out += at(terms.on_log_q, b, i) * batch.log_q[i];
        if (!batch.value.empty()) out += at(terms.on_value, b, i) * batch.value[i];
      }
    }
    return out;
  };
  double squares = 0;
  for (const twist::Parameter& p : before)
    for (const float m : state.arrays.at("adam_m/" + p.name)) squares += 100.0 * m * m;
  ASSERT_GT(squares, 1e-8);
  const double length = 2e-2 / std::sqrt(squares);
  const auto moved = [&](double by) {
    twist.parameters() = before;
    for (twist::Parameter& p : twist.parameters()) {
      const std::vector<float>& m = state.arrays.at("adam_m/" + p.name);
      for (std::size_t i = 0; i < m.size(); ++i) p.value[i] += static_cast<float>(by * 10.0 * m[i]);
    }
    twist.refresh();
    return sum();
  };
  const double slope = (moved(length) - moved(-length)) / (2 * length * squares);
  // Float32 differences and the curvature over such a step: two parts in a hundred.
  EXPECT_NEAR(slope, 1, 0.02);
}

INSTANTIATE_TEST_SUITE_P(All, GradientOfParameters,
                         testing::Combine(testing::Values("ctl", "rl", "sixo", "fudge", "dpg", "ppo"),
                                          testing::Values("linear", "mlp", "tied_linear", "tied_mlp")),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" + std::get<1>(test.param);
                         });

class TermsOf : public testing::TestWithParam<const char*> {};

// ctl and dpg have no loss of their own: theirs is linear, with weights that carry no gradient.
TEST_P(TermsOf, AreTheDerivativesOfTheLoss) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const std::string name = GetParam();
  const test::TinyTask task;
  const auto objective = objective_of(name);
  test::Learner learner(task, "mlp", objective_of(name), comm::Communicator::self());
  FirstUpdate first(task, *objective, *learner.twist);
  if (name == "ppo")  // away from where it drew, so that some ratios and values are cut
    for (Batch& batch : first.drawn)
      for (std::size_t i = 0; i < batch.log_q.size(); ++i) {
        batch.log_q[i] += 0.35 * std::sin(3.7 * static_cast<double>(i) + 1);
        batch.value[i] += 0.35 * std::cos(2.3 * static_cast<double>(i));
      }
  const Terms terms = first.terms(*learner.twist);
  constexpr double h = 1e-5;
  std::int64_t n_seen = 0, n_zero = 0;
  const auto expect = [&](const std::vector<double>& expected,
                          const std::function<void(std::size_t, double)>& add) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      add(i, h);
      const double above = first.terms(*learner.twist).loss->value();
      add(i, -2 * h);
      const double below = first.terms(*learner.twist).loss->value();
      add(i, h);
      EXPECT_NEAR((above - below) / (2 * h), expected[i], 1e-7 + 1e-5 * std::abs(expected[i])) << i;
      (expected[i] == 0 ? n_zero : n_seen) += 1;
    }
  };
  for (std::size_t b = 0; b < first.drawn.size(); ++b) {
    Batch& batch = first.drawn[b];
    if (name == "ppo") {
      expect(terms.on_log_q[b], [&](std::size_t i, double by) { batch.log_q[i] += by; });
      expect(terms.on_value[b], [&](std::size_t i, double by) { batch.value[i] += by; });
      continue;
    }
    expect(terms.on_score[b], [&](std::size_t i, double by) {
      double& log_psi = batch.samples.log_psi[i];
      log_psi =
          name == "fudge" ? log_sigmoid(score_of(log_psi, twist::Link::log_sigmoid) + by) : log_psi + by;
      if (name == "rl") batch.log_q[i] += by;  // so that the target of the step before stays, as it must
    });
  }
  EXPECT_GT(n_seen, 20);
  if (name == "ppo") {
    EXPECT_GT(n_zero, 5) << "some are cut";
  }
}

INSTANTIATE_TEST_SUITE_P(All, TermsOf, testing::Values("rl", "sixo", "fudge", "ppo"),
                         [](const auto& test) { return std::string(test.param); });

// Schulman et al. 2016: A_t = sum_l lambda^l delta_{t+l}, delta_t = r_t + V_{t+1} - V_t, with log phi added
// to the last reward. Before anything moves, the derivative by the value is minus A_t by the weight of the
// value's error.
TEST(Ppo, WeighsLaterSurprisesByPowersOfLambda) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const test::TinyTask task;
  const ObjectiveOptions options{.batch = 13, .inner_epochs = 1, .ppo_lambda = 0.6, .ppo_value_weight = 0.25};
  const auto objective = make_objective("ppo", options);
  test::Learner learner(task, "mlp", make_objective("ppo", options), comm::Communicator::self());
  FirstUpdate first(task, *objective, *learner.twist);
  Batch& batch = first.drawn[0];
  for (std::size_t i = 0; i < batch.value.size(); ++i)
    batch.value[i] = batch.drawn_value[i] = std::sin(1.7 * static_cast<double>(i));
  const Terms terms = first.terms(*learner.twist);
  const smc::Population& p = batch.samples;
  const auto delta = [&](std::int64_t i, std::int64_t t) {
    const bool is_last = t + 1 == T;
    const double reward = p.log_p0[p.at(i, t)] - p.log_q[p.at(i, t)] +
                          (is_last ? batch.log_phi[static_cast<std::size_t>(i)] : 0);
    return reward + (is_last ? 0 : batch.value[p.at(i, t + 1)]) - batch.value[p.at(i, t)];
  };
  for (std::int64_t i = 0; i < p.size(); ++i)
    for (std::int64_t t = 0; t < T; ++t) {
      double advantage = 0;
      for (std::int64_t l = 0; t + l < T; ++l) advantage += std::pow(0.6, l) * delta(i, t + l);
      const double weight = 0.25 / static_cast<double>(13 * T);
      EXPECT_NEAR(terms.on_value[0][p.at(i, t)], -weight * advantage, 1e-12) << i << " " << t;
    }
}

}  // namespace
}  // namespace twistor::learn
