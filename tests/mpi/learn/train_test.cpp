// SPDX-License-Identifier: Apache-2.0
// The loop of learning: what it does when, and where it stops.
#include "twistor/learn/train.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <utility>

#include "support/tiny_learning.hpp"

namespace twistor::learn {
namespace {

using testing::ElementsAre;

class Loop : public testing::Test {
 protected:
  /// Learns and tells what was done: "3" is update 3, "evaluate 3" and "save 3" came after it.
  std::vector<std::string> events(const Plan& plan, std::int64_t stop_at = -1) {
    std::vector<std::string> out;
    const auto note = [&](const std::string& what) {
      out.push_back(what + std::to_string(learner.trainer.n_updates()));
    };
    const Hooks hooks{.updated =
                          [&](const UpdateReport& report, double seconds) {
                            EXPECT_GT(seconds, 0);
                            EXPECT_EQ(report.skipped, "");
                            note("");
                          },
                      .evaluate =
                          [&] {
                            note("evaluate ");
                            return learner.trainer.n_updates() != enough_at;
                          },
                      .save = [&] { note("save "); }};
    is_done = train(learner.trainer, plan, hooks, [&] { return learner.trainer.n_updates() == stop_at; });
    return out;
  }

  comm::Communicator world = comm::Communicator::world();
  test::TinyTask task;
  test::Learner learner{task, "linear", make_objective("ctl", {.batch = 8, .positive_batch = 8}), world};
  bool is_done = false;
  std::int64_t enough_at = -1;  ///< the evaluation after which it is enough
};

TEST_F(Loop, EvaluatesBeforeEpochsAndSavesWhenItIsDue) {
  EXPECT_THAT(events({{2, 5}, 2, true}), ElementsAre("evaluate 0", "1", "2", "save 2", "evaluate 2", "3", "4",
                                                     "save 4", "5", "save 5", "evaluate 5"));
  EXPECT_TRUE(is_done);
  EXPECT_THAT(events({{2, 5}, 2, true}), ElementsAre("evaluate 5"));  // there is nothing left to learn
}

TEST_F(Loop, EvaluatesAtTheEndAloneIfToldSo) {
  EXPECT_THAT(events({{1, 2}, 0, false}), ElementsAre("1", "2", "save 2", "evaluate 2"));
}

TEST_F(Loop, SavesTheUntrainedTwistToo) {
  EXPECT_THAT(events({{0}, 0, true}), ElementsAre("save 0", "evaluate 0"));
}

TEST_F(Loop, SavesAndStopsWhenItIsInterruptedAndThenGoesOnAsIfItHadNot) {
  const Plan plan{{2, 4}, 0, true};
  EXPECT_THAT(events(plan, 1), ElementsAre("evaluate 0", "1", "save 1"));
  EXPECT_FALSE(is_done);
  EXPECT_THAT(events(plan), ElementsAre("2", "evaluate 2", "3", "4", "save 4", "evaluate 4"));
  EXPECT_TRUE(is_done);
  test::Learner straight{task, "linear", make_objective("ctl", {.batch = 8, .positive_batch = 8}), world};
  EXPECT_TRUE(train(straight.trainer, plan, {}));  // nobody listens
  EXPECT_TRUE(test::values_of(straight.twist->parameters()) == test::values_of(learner.twist->parameters()));
}

TEST_F(Loop, EndsWhereAnEvaluationSaysSo) {
  enough_at = 2;
  EXPECT_THAT(events({{2, 5}, 0, true}), ElementsAre("evaluate 0", "1", "2", "evaluate 2", "save 2"));
  EXPECT_TRUE(is_done);
}

TEST_F(Loop, EndsWhenItsSamplesAreUsedUp) {
  const Plan plan{.epoch_ends = {3, 9}, .most_samples = 25};  // 8 an update
  EXPECT_THAT(events(plan),
              ElementsAre("evaluate 0", "1", "2", "3", "evaluate 3", "4", "save 4", "evaluate 4"));
  EXPECT_EQ(learner.trainer.n_samples(), 32);
  EXPECT_TRUE(is_done);
  test::MemoryState state;
  learner.trainer.visit_state(state);
  EXPECT_EQ(state.counts.at("samples"), 32);
  EXPECT_THAT(events(plan), ElementsAre("evaluate 4"));  // a run that goes on has used them up already
}

TEST_F(Loop, EndsWhenItsTimeIsUsedUp) {
  learner.trainer.add_seconds(1.25);
  const Plan plan{.epoch_ends = {1000}, .evaluate_epochs = false, .most_seconds = 1.2501};
  EXPECT_GE(events(plan).size(), 3U);
  EXPECT_LT(learner.trainer.n_updates(), 1000);
  EXPECT_GE(learner.trainer.seconds(), 1.25);
  EXPECT_TRUE(is_done);
}

// Quick updates take less than half a millisecond each: rounded one by one they would take no time at all.
TEST_F(Loop, CountsTheTimeOfTheQuickestUpdates) {
  for (int i = 0; i < 100; ++i) learner.trainer.add_seconds(4e-4);
  EXPECT_NEAR(learner.trainer.seconds(), 0.04, 1e-12);
  test::MemoryState state;
  learner.trainer.visit_state(state);
  EXPECT_EQ(state.counts.at("milliseconds"), 40);
  learner.trainer.add_seconds(4e-4);
  learner.trainer.visit_state(state);  // saving rounds what is saved, not what is known
  EXPECT_NEAR(learner.trainer.seconds(), 0.0404, 1e-12);
}

TEST(RateFactor, WarmsUpAndDecays) {
  TrainOptions o{.n_updates = 10, .warm_up = 4};
  const auto factors = [&] {
    std::vector<double> out;
    for (std::int64_t i = 0; i < 10; ++i) out.push_back(rate_factor(o, i));
    return out;
  };
  EXPECT_THAT(factors(), ElementsAre(0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1));
  o.decay = Decay::linear;
  EXPECT_THAT(factors(), testing::Pointwise(testing::DoubleEq(), {0.25, 0.5, 0.75, 1.0, 1.0, 5.0 / 6, 4.0 / 6,
                                                                  0.5, 2.0 / 6, 1.0 / 6}));
  o.decay = Decay::cosine;
  o.warm_up = 0;
  EXPECT_EQ(rate_factor(o, 0), 1);
  EXPECT_NEAR(rate_factor(o, 5), 0.5, 1e-15);
  EXPECT_EQ(rate_factor(o, 10), 1) << "a run that is given more updates than it was planned for";
}

// Adam's first step is the learning rate by the sign of each gradient, whatever its length; the moments tell.
TEST(ClipNorm, CutsTheWholeGradient) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TinyTask task;
  const auto moments = [&](double clip_norm) {
    test::Learner learner(task, "mlp", make_objective("ctl", {.batch = 8, .positive_batch = 8}), world, 8,
                          {.clip_norm = clip_norm});
    learner.learn(1);
    test::MemoryState state;
    learner.trainer.visit_state(state);
    double squares = 0;
    for (const auto& [name, values] : state.arrays)
      if (name.starts_with("adam_m/"))
        for (const float m : values) squares += static_cast<double>(m) * static_cast<double>(m);
    return std::pair(10 * std::sqrt(squares), learner.last.numbers);  // m = 0.1 g
  };
  const auto [free, without] = moments(0);
  const auto [loose, numbers] = moments(1e6);
  EXPECT_NEAR(loose, free, 1e-5 * free);
  EXPECT_EQ(numbers.back().first, "gradient_norm");
  EXPECT_NEAR(numbers.back().second, free, 1e-5 * free);
  EXPECT_EQ(without.size() + 1, numbers.size());
  EXPECT_NEAR(moments(0.5 * free).first, 0.5 * free, 1e-5 * free);
}

TEST_F(Loop, IsDoneIfTheInterruptComesWithTheLastUpdate) {
  EXPECT_THAT(events({{2}, 0, true}, 2), ElementsAre("evaluate 0", "1", "2", "save 2", "evaluate 2"));
  EXPECT_TRUE(is_done);
}

}  // namespace
}  // namespace twistor::learn
