// SPDX-License-Identifier: Apache-2.0
// What is said about a run's cost: how many tokens, and for how long.
#include "twistor/run/cost.hpp"

#include <gmock/gmock.h>

namespace twistor::run {
namespace {

Config small() {
  Config config;
  config.target.length = 10;
  config.smc.sweep.particles = 8;
  config.train.updates = 6;
  config.train.samples.batch = 4;
  config.evaluate.repeats = 3;
  config.evaluate.samples = 20;
  config.exact.count = 5;
  config.exact.budget = 100;
  return config;
}

/// An evaluation's sequences by hand: 4 estimators x 3 repeats x 8 particles, 20 of q, 5 exact ones.
constexpr std::int64_t one_evaluation = 4 * 3 * 8 + 20 + 5;

TEST(Cost, OfTrainingCountsUpdatesEvaluationsAndDraws) {
  const std::vector<report::Work> work = work_of_training(small(), 0, -1);
  ASSERT_EQ(work.size(), 3u);
  EXPECT_EQ(work[0].tokens, 100 * 10);
  EXPECT_TRUE(work[0].is_limit);
  EXPECT_EQ(work[1].sequences, 6 * 4);
  EXPECT_EQ(work[1].tokens, 6 * 4 * 10);
  EXPECT_EQ(work[2].sequences, 2 * one_evaluation);  // before and after
  EXPECT_EQ(work[2].tokens, 2 * one_evaluation * 10);
}

TEST(Cost, OfAResumedRunIsWhatIsLeft) {
  Config config = small();
  config.train.course.epochs = 2;  // evaluated after 0 and 3 updates, and at the end
  EXPECT_EQ(work_of_training(config, 0, 5).back().sequences, 3 * one_evaluation);
  const std::vector<report::Work> rest = work_of_training(config, 2, 5);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0].sequences, 4 * 4);
  EXPECT_EQ(rest[1].sequences, 2 * one_evaluation);
  EXPECT_EQ(work_of_training(config, 6, 5).size(), 1u);
  config.twist.init_scale = 1;  // then the base model is evaluated too
  EXPECT_EQ(work_of_training(config, 0, 5).back().sequences, 4 * one_evaluation);
  config.evaluate.base = false;
  EXPECT_EQ(work_of_training(config, 0, 5).back().sequences, 3 * one_evaluation);
}

TEST(Cost, WithoutExactSamplesThereAreNoUpperBounds) {
  Config config = small();
  config.evaluate.base = false;
  const std::vector<report::Work> work = work_of_evaluation(config, 0);
  ASSERT_EQ(work.size(), 1u);
  EXPECT_EQ(work[0].sequences, 2 * 3 * 8 + 20);
}

TEST(Cost, OfSamplingIsOnePopulationForEachDraw) {
  Config config = small();
  config.sample.count = 7;
  EXPECT_EQ(work_of_sampling(config)[0].sequences, 7 * 8);
  config.sample.moves = 2;
  EXPECT_EQ(work_of_sampling(config)[0].sequences, 3 * 7 * 8);
  config.sample.from = estimate::DrawFrom::population;
  EXPECT_EQ(work_of_sampling(config)[0].sequences, 7);
}

}  // namespace
}  // namespace twistor::run
