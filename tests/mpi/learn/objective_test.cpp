// SPDX-License-Identifier: Apache-2.0
// A second objective, whole: what CONTRIBUTING shows, and what CTL makes no use of.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "support/tiny_learning.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

/// Fits log psi_t(s_{1:t}) to log phi(s) by least squares, with samples s of p0: psi becomes the geometric
/// mean of phi over what may follow. Two steps of the optimizer with each batch.
class Regression final : public Objective {
 public:
  explicit Regression(const ObjectiveOptions& options) : n_(options.batch) {}

  std::string_view name() const override { return "regression"; }
  std::vector<Request> wants() const override { return {{Source::base, n_}}; }
  std::int64_t inner_epochs() const override { return 2; }

  Terms terms(std::span<const Batch> batches, const Current&,
              const comm::Communicator& world) const override {
    const Batch& batch = batches[0];
    const smc::Population& p = batch.samples;
    const double share = 1.0 / static_cast<double>(n_ * p.T);
    Terms out;
    std::vector<double> on_score(p.log_psi.size());
    out.loss.emplace();
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < p.size(); ++i)
      for (std::int64_t t = 0; t < p.T; ++t) {
        const double error = p.log_psi[p.at(i, t)] - batch.log_phi[static_cast<std::size_t>(i)];
        out.loss->add(share * error * error);
        on_score[p.at(i, t)] = 2 * share * error;
        largest = std::max(largest, std::abs(error));
      }
    out.on_score.push_back(std::move(on_score));
    out.numbers = {{"largest_error", comm::all_reduce_max(largest, world)}};
    if (out.numbers[0].second > 1000) out.skipped = "phi is too rough";
    return out;
  }

 private:
  std::int64_t n_;
};

constexpr std::array kinds{ObjectiveKind{"regression", [](const ObjectiveOptions& options) {
                                           return std::unique_ptr<Objective>(
                                               std::make_unique<Regression>(options));
                                         }}};

using test::Learner;
using test::TinyTask;

std::unique_ptr<Objective> regression() {
  return make_objective("regression", {.batch = 21}, kinds);
}

TEST(Objectives, AreMadeByName) {
  for (const std::string_view name : objective_names()) EXPECT_EQ(make_objective(name, {})->name(), name);
  EXPECT_EQ(regression()->name(), "regression");
  try {
    (void)make_objective("reinforce", {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(
        error.what(),
        testing::HasSubstr("reading train.objective: there is no objective 'reinforce' (expected ctl, rl"));
  }
}

TEST(Objectives, AnyLearnsTheSameToTheLastBitOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const TinyTask task;
  for (const char* form : {"mlp", "tied_linear"}) {
    Learner a(task, form, regression(), world), b(task, form, regression(), self);
    EXPECT_TRUE(test::values_of(a.learn(3)) == test::values_of(b.learn(3))) << form;
    EXPECT_EQ(a.last.loss, b.last.loss);
    EXPECT_EQ(a.last.numbers, b.last.numbers);
  }
}

TEST(Objectives, LowerTheirOwnLoss) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  Learner learner(task, "mlp", regression(), self);
  learner.learn(1);
  const double before = learner.last.loss;
  EXPECT_EQ(learner.last.numbers[0].first, "largest_error");
  learner.learn(60);
  EXPECT_LT(learner.last.loss, 0.5 * before);
}

TEST(Objectives, TakeTheirInnerEpochsAsStepsOfTheOptimizer) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  Learner learner(task, "linear", regression(), self);
  learner.learn(3);
  test::MemoryState state;
  learner.trainer.visit_state(state);
  EXPECT_EQ(state.counts.at("update"), 3);
  EXPECT_EQ(state.counts.at("adam_step"), 6);
}

TEST(Objectives, LeaveTheTwistAloneWhereThereIsNothingToLearn) {
  const comm::Communicator self = comm::Communicator::self();
  TinyTask task;
  task.potential = test::RoughPotential(1e5);
  Learner learner(task, "linear", regression(), self);
  const auto before = test::values_of(learner.twist->parameters());
  EXPECT_TRUE(test::values_of(learner.learn(1)) == before);
  EXPECT_EQ(learner.last.skipped, "phi is too rough");
  EXPECT_TRUE(std::isnan(learner.last.loss));
  EXPECT_EQ(learner.trainer.n_updates(), 1);
}

}  // namespace
}  // namespace twistor::learn
