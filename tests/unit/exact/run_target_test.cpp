// SPDX-License-Identifier: Apache-2.0
// What a run's target leaves open is drawn with an exact sample, by the seed alone.
#include "twistor/exact/run_target.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "twistor/exact/base_sampler.hpp"
#include "twistor/model/tabular.hpp"

namespace twistor::exact {
namespace {

using testing::ElementsAre, testing::IsEmpty;

class RunTargetTest : public testing::Test {
 protected:
  RunTarget make(const RunTargetOptions& how) const {
    return make_run_target(lm, prompt, options, {.lm = &lm}, how);
  }

  const model::TabularModel lm = model::TabularModel::random(4, 12, 5);
  const std::vector<std::int64_t> prompt = {1, 2};
  potential::PotentialOptions options;
  static constexpr std::int64_t T = 3, c = 2;
};

TEST_F(RunTargetTest, AGivenTargetDrawsNothing) {
  options.potential = "contains";
  options.ids = {1};
  const RunTarget target = make({.length = T});
  EXPECT_THAT(target.observation, IsEmpty());
  EXPECT_THAT(target.joint_sample, IsEmpty());
  EXPECT_EQ(target.pairs, nullptr);
  EXPECT_NE(target.identity.find("contains"), std::string::npos);
}

TEST_F(RunTargetTest, AnOpenContinuationIsPairZeroOfTheSeed) {
  options.potential = "continuation";
  const RunTarget target = make({.length = T, .observation_length = c, .seed = 7});
  const JointDraws pair = joint_draw(lm, prompt, T, c, 0, 7);
  EXPECT_EQ(target.joint_sample, pair.sequences.tokens);
  EXPECT_EQ(target.observation, pair.observations.tokens);
  EXPECT_EQ(target.pairs, nullptr) << "no twist sees observations";
  // phi(s) = p0(o | s) of that o
  const std::vector<double> log_phi =
      target.potential->log_phi({.prompt = prompt, .tokens = target.joint_sample, .length = T});
  EXPECT_THAT(log_phi, ElementsAre(testing::DoubleNear(pair.observations.log_p0[0], 1e-6)));
}

TEST_F(RunTargetTest, ATwistThatSeesObservationsGetsMoreOfThem) {
  options.potential = "continuation";
  const RunTarget drawn =
      make({.condition = model::Condition::tokens, .length = T, .observation_length = c, .seed = 7});
  ASSERT_NE(drawn.pairs, nullptr);
  const std::int64_t first = 0;
  EXPECT_EQ(drawn.pairs->draw({&first, 1}, 7).observations.tokens, drawn.observation);
  const RunTarget other =
      make({.condition = model::Condition::tokens, .length = T, .observation_length = c, .seed = 8});
  EXPECT_EQ(drawn.identity, other.identity) << "it is of all observations";
  options.ids = {3, 0};
  const RunTarget named =
      make({.condition = model::Condition::tokens, .length = T, .observation_length = c, .seed = 7});
  EXPECT_EQ(named.pairs, nullptr);
  EXPECT_THAT(named.joint_sample, IsEmpty());
}

}  // namespace
}  // namespace twistor::exact
