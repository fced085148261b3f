// SPDX-License-Identifier: Apache-2.0
// The identities of docs/method.md that every build must satisfy, on a tabular model where all answers are
// known.
//
// Statistical tests have fixed seeds and a limit of 4.5 standard errors: by chance alone one in 150,000 would
// fail. They run where there is one rank; sweep_test.cpp shows that other rank counts give the same bits.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support/tabular_problem.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::smc {
namespace {

constexpr double limit_se = 4.5;
constexpr SchemeKind schemes[] = {SchemeKind::multinomial, SchemeKind::stratified, SchemeKind::systematic,
                                  SchemeKind::residual};

struct Way {
  ProposalKind proposal;
  Order order;
  Trigger trigger;
  double threshold;
};
constexpr Way ways[] = {
    {ProposalKind::base, Order::draw_first, Trigger::every_step, 1},
    {ProposalKind::base, Order::draw_first, Trigger::ess, 0.5},
    {ProposalKind::twisted, Order::resample_first, Trigger::every_step, 1},
    {ProposalKind::twisted, Order::resample_first, Trigger::ess, 0.5},
    {ProposalKind::twisted, Order::draw_first, Trigger::every_step, 1},
    {ProposalKind::twisted, Order::resample_first, Trigger::ess, 1},
    {ProposalKind::tempered, Order::draw_first, Trigger::ess, 0.5},
    {ProposalKind::twisted, Order::resample_first, Trigger::ess, 0},
    {ProposalKind::base, Order::draw_first, Trigger::never, 0},
};

class Identities : public testing::TestWithParam<std::tuple<SchemeKind, std::size_t>> {
 protected:
  [[nodiscard]] SchemeKind scheme() const { return std::get<0>(GetParam()); }
  [[nodiscard]] const Way& way() const { return ways[std::get<1>(GetParam())]; }
  [[nodiscard]] SweepOptions options(std::int64_t K) const {
    return {.particles = K,
            .length = test::TabularProblem::T,
            .scheme = scheme(),
            .trigger = way().trigger,
            .ess_threshold = way().threshold,
            .order = way().order};
  }

  comm::Communicator self = comm::Communicator::self();
  test::TabularProblem tabular;
};

/// Mean of exp(sign * (log Z_hat - log Z)) over runs, in standard errors from 1.
double deviation(const std::vector<double>& log_ratio) {
  std::vector<double> ratio;
  for (const double x : log_ratio) ratio.push_back(std::exp(x));
  const estimate::Estimate e = estimate::mean_estimate(ratio);
  return e.se == 0 ? std::abs(e.mean - 1) * 1e12 : std::abs(e.mean - 1) / e.se;
}

TEST_P(Identities, PlainSweepIsUnbiasedForZ) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough, see sweep_test.cpp";
  const Proposal proposal(tabular.lm, tabular.rough_twist, way().proposal, 0.5);
  SweepOptions o = options(4);
  std::vector<double> log_ratio;
  for (std::uint64_t run = 0; run < 3000; ++run) {
    o.seed = derive_seed(1, Stream::test, run);
    log_ratio.push_back(sweep(tabular.problem(), proposal, o, self).log_z - tabular.exact.log_z());
  }
  EXPECT_LT(deviation(log_ratio), limit_se);
  EXPECT_LT(estimate::mean_estimate(log_ratio).mean, 0.0) << "E[log Z_hat] <= log Z";
}

TEST_P(Identities, ConditionalSweepIsUnbiasedForOneOverZ) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough, see sweep_test.cpp";
  const Proposal proposal(tabular.lm, tabular.rough_twist, way().proposal, 0.5);
  SweepOptions o = options(3);
  std::vector<double> log_ratio;
  for (std::uint64_t run = 0; run < 3000; ++run) {
    o.seed = derive_seed(2, Stream::test, run);
    const test::Tokens path = tabular.exact.draw(3, static_cast<std::int64_t>(run));
    const Sweep s = sweep(tabular.problem(), proposal, o, self, path);
    log_ratio.push_back(tabular.exact.log_z() - s.log_z);
    // The path is still there, whole.
    const auto at = static_cast<std::ptrdiff_t>(s.pinned_id * o.length);
    EXPECT_TRUE(std::equal(path.begin(), path.end(), s.particles.tokens.begin() + at));
  }
  EXPECT_LT(deviation(log_ratio), limit_se);
  EXPECT_LT(estimate::mean_estimate(log_ratio).mean, 0.0) << "E[log Z_hat] >= log Z";
}

// The controls: a plain sweep in place of the conditional form, and the other way round, must be caught by
// the same limit.
TEST_P(Identities, PlainAndConditionalFormsCannotReplaceEachOther) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough, see sweep_test.cpp";
  const Proposal proposal(tabular.lm, tabular.rough_twist, way().proposal, 0.5);
  SweepOptions o = options(3);
  std::vector<double> plain, conditional;
  for (std::uint64_t run = 0; run < 3000; ++run) {
    o.seed = derive_seed(2, Stream::test, run);
    plain.push_back(tabular.exact.log_z() - sweep(tabular.problem(), proposal, o, self).log_z);
    const test::Tokens path = tabular.exact.draw(3, static_cast<std::int64_t>(run));
    conditional.push_back(sweep(tabular.problem(), proposal, o, self, path).log_z - tabular.exact.log_z());
  }
  EXPECT_GT(deviation(plain), limit_se);
  EXPECT_GT(deviation(conditional), limit_se);
}

TEST_P(Identities, AConstantAddedToLogPsiChangesNothing) {
  const test::TableTwist shifted(tabular.lm, 1, [](const test::Tokens& prefix) {
    return 1.2 * test::rough(prefix, 9) + 3.5 * static_cast<double>(prefix.size());
  });
  const Proposal plain(tabular.lm, tabular.rough_twist, way().proposal, 0.5),
      moved(tabular.lm, shifted, way().proposal, 0.5);
  for (std::uint64_t run = 0; run < 20; ++run) {
    SweepOptions o = options(6);
    o.seed = run;
    const Sweep a = sweep(tabular.problem(), plain, o, self), b = sweep(tabular.problem(), moved, o, self);
    EXPECT_EQ(a.particles.tokens, b.particles.tokens);
    EXPECT_NEAR(a.log_z, b.log_z, 1e-12);
  }
}

std::string case_name(const testing::TestParamInfo<std::tuple<SchemeKind, std::size_t>>& test) {
  return std::string(name_of(std::get<0>(test.param))) + "_way" + std::to_string(std::get<1>(test.param));
}
INSTANTIATE_TEST_SUITE_P(All, Identities,
                         testing::Combine(testing::ValuesIn(schemes),
                                          testing::Range<std::size_t>(0, std::size(ways))),
                         case_name);

class OptimalTwist : public testing::TestWithParam<SchemeKind> {};

TEST_P(OptimalTwist, BoundsAreExactForAnyNumberOfParticles) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.optimal_twist, ProposalKind::twisted);
  for (const std::int64_t K : {1, 2, 7}) {
    for (const Trigger trigger : {Trigger::every_step, Trigger::ess, Trigger::never}) {
      const SweepOptions o{.particles = K,
                           .length = test::TabularProblem::T,
                           .scheme = GetParam(),
                           .trigger = trigger,
                           .seed = 5};
      EXPECT_NEAR(sweep(tabular.problem(), proposal, o, world).log_z, tabular.exact.log_z(), 1e-10);
      const test::Tokens path = tabular.exact.draw(1, 0);
      EXPECT_NEAR(sweep(tabular.problem(), proposal, o, world, path).log_z, tabular.exact.log_z(), 1e-10);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Schemes, OptimalTwist, testing::ValuesIn(schemes),
                         [](const auto& test) { return std::string(twistor::name_of(test.param)); });

TEST(Limits, OneStepIsImportanceSampling) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  const SweepOptions smc{.particles = 9, .length = 1};
  SweepOptions sis = smc;
  sis.trigger = Trigger::never;
  EXPECT_EQ(sweep(tabular.problem(), proposal, smc, world).log_z,
            sweep(tabular.problem(), proposal, sis, world).log_z);
}

TEST(Limits, NothingToWeighGivesZero) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem flat(0.0);  // phi = 1
  const twist::NoTwist none(test::TabularProblem::V);
  for (const ProposalKind kind : {ProposalKind::base, ProposalKind::twisted}) {
    const Proposal proposal(flat.lm, none, kind);
    EXPECT_NEAR(sweep(flat.problem(), proposal, flat.sweep_options(11), world).log_z, 0.0, 1e-12);
  }
}

TEST(Limits, OneParticleGivesElboAndEubo) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const comm::Communicator self = comm::Communicator::self();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  const Sweep s = sweep(tabular.problem(), proposal, tabular.sweep_options(1), self);
  const auto total = [](const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); };
  EXPECT_NEAR(s.log_z, total(s.particles.log_p0) + s.log_phi[0] - total(s.particles.log_q), 1e-12);
}

TEST(Limits, APotentialOfZeroEverywhereIsADefinedOutcome) {
  class Nothing final : public potential::Potential {
   public:
    std::vector<double> log_phi(const potential::Sequences& s) const override {
      return std::vector<double>(static_cast<std::size_t>(s.size()), log_zero);
    }
    double log_phi_bound() const override { return 0; }
    std::string description() const override { return "nothing"; }
  };
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Nothing nothing;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  const Sweep s = sweep({tabular.lm, tabular.prompt, nothing}, proposal, tabular.sweep_options(6), world);
  EXPECT_EQ(s.log_z, log_zero);
  EXPECT_EQ(s.final_ess, 0.0);
}

TEST(TeacherForcing, GivesTheSamplersLogProbabilitiesToTheLastBit) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  const Proposal proposal(tabular.lm, tabular.rough_twist, ProposalKind::twisted);
  const SweepOptions o{.particles = 10, .length = test::TabularProblem::T, .scheme = SchemeKind::systematic};
  const Sweep s = sweep(tabular.problem(), proposal, o, world);
  const smc::ForcedPass forced = smc::forced_pass(tabular.problem(), proposal, o.length, s.particles.tokens);
  EXPECT_EQ(forced.log_q, s.particles.log_q);
  EXPECT_EQ(forced.log_p0, s.particles.log_p0);
  EXPECT_EQ(forced.log_psi, s.particles.log_psi);
}

}  // namespace
}  // namespace twistor::smc
