// SPDX-License-Identifier: Apache-2.0
// Joint draws as exact samples, through the path that a run takes: draw s and then o, choose the way, make
// the set, divide it, pin its sample.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/error_of.hpp"
#include "support/tabular_problem.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::estimate {
namespace {

constexpr std::int64_t V = 3, T = 3, c = 2;

class Joint : public testing::Test {
 protected:
  const model::TabularModel lm = model::TabularModel::random(V, 1 + T + c, 17, 3.0);
  const test::Tokens prompt{1};
  const twist::NoTwist none{V};
  const smc::Proposal proposal{lm, none, smc::ProposalKind::base};
  const comm::Communicator self = comm::Communicator::self();
  const test::TemporaryFolder folder;

  /// Z / Z_hat of one run with a drawn o, phi = p0(o | s)^beta.
  [[nodiscard]] double inverse_z(std::uint64_t seed, double beta, bool is_joint_exact) const {
    const std::int64_t index = 0;
    const exact::JointDraws drawn = exact::BaseSampler(lm, prompt).joint(T, c, {&index, 1}, seed);
    potential::PotentialOptions options;
    options.ids = drawn.observations.tokens;
    options.beta = beta;
    potential::TargetContext context;
    context.lm = &lm;
    const auto potential = potential::make_potential(options, context);
    const exact::Target target{.lm = lm,
                               .prompt = prompt,
                               .length = T,
                               .potential = *potential,
                               .identity = "continuation",
                               .joint_sample = drawn.sequences.tokens,
                               .observation = drawn.observations.tokens,
                               .is_joint_exact = is_joint_exact};
    const exact::SetOptions set_options{
        .way = exact::choose_way(target, 0), .seed = seed, .file = folder.path() / "exact.h5"};
    EXPECT_EQ(set_options.way, exact::Way::joint);
    exact::SampleSet set = exact::find(target, set_options, self);
    EXPECT_TRUE(exact::make(target, set_options, self, {}, set));
    const exact::Source source = exact::split(set.samples, false).for_estimates;
    EXPECT_EQ(source.n, 1);
    const smc::SweepOptions o{.particles = 3, .length = T, .seed = derive_seed(8, Stream::test, seed)};
    const auto log_z = exact::enumerate(lm, *potential, prompt, T).log_z();
    return std::exp(log_z - smc::sweep({lm, prompt, *potential}, proposal, o, self, source.sample(0)).log_z);
  }

  [[nodiscard]] Estimate mean(double beta, bool is_joint_exact) const {
    std::vector<double> out;
    for (std::uint64_t seed = 0; seed < 2000; ++seed) out.push_back(inverse_z(seed, beta, is_joint_exact));
    return mean_estimate(out);
  }
};

// 4.5 standard errors; the control, the fault that was here, lies far beyond 8.
TEST_F(Joint, DrawsAreExactForBetaOneAlone) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const Estimate right = mean(1, true), wrong = mean(2, true);
  EXPECT_LT(std::abs(right.mean - 1), 4.5 * right.se) << right.mean << " +- " << right.se;
  EXPECT_LT(right.se, 0.05);
  EXPECT_GT(std::abs(wrong.mean - 1), 8 * wrong.se) << wrong.mean << " +- " << wrong.se;
}

TEST_F(Joint, AreRefusedOrPassedOverForOtherPowers) {
  potential::PotentialOptions options;
  options.ids = {0, 1};
  options.beta = 4;
  potential::TargetContext context;
  context.lm = &lm;
  const auto potential = potential::make_potential(options, context);
  const test::Tokens s{0, 1, 2};
  exact::Target target{.lm = lm,
                       .prompt = prompt,
                       .length = T,
                       .potential = *potential,
                       .identity = "continuation",
                       .joint_sample = s,
                       .observation = options.ids};
  EXPECT_EQ(exact::choose_way(target, 1e6), exact::Way::joint);
  // A set that an earlier version made for this target is no set of exact samples.
  exact::SetOptions set_options{.way = exact::Way::joint, .count = 1, .file = folder.path() / "exact.h5"};
  exact::SampleSet set = exact::find(target, set_options, self);
  ASSERT_TRUE(exact::make(target, set_options, self, {}, set));
  exact::keep(set_options, set);
  EXPECT_FALSE(exact::find(target, set_options, self).is_lacking);
  target.is_joint_exact = false;
  EXPECT_TRUE(exact::find(target, set_options, self).is_lacking);
  EXPECT_EQ(exact::choose_way(target, 1e6), exact::Way::enumeration);
  EXPECT_EQ(exact::choose_way(target, 0), exact::Way::rejection);
  exact::SampleSet refused;
  const Error error = test::error_of([&] { (void)exact::make(target, set_options, self, {}, refused); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(), testing::HasSubstr("set target.beta = 1"));
}

}  // namespace
}  // namespace twistor::estimate
