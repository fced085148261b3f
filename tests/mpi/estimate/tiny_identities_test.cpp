// The identities on the language model that ships with the project, whose target is enumerated: a real
// decoder, a real head.
#include <gtest/gtest.h>

#include <cmath>

#include "support/tiny_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/estimate/log_z.hpp"
#include "twistor/potential/enumeration.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::estimate {
namespace {

constexpr double limit_se = 4.5;  // one false alarm in 150,000 a comparison; seeds are fixed
constexpr std::int64_t T = 3;

struct Tiny : test::TinyProblem {
  Tiny() : TinyProblem(1.5, {2, 3, 4, 5, 6, 7, 4, 32, 42, 8, 14, 15, 10, 42, 16, 4, 47, 8}) {}
  potential::Enumeration exact = potential::enumerate(*lm, potential, prompt, T);
  twist::HeadTwist twist{"mlp", lm->hidden_size(), lm->vocab_size(), device::Precision::float32, 0.4, 3};
  smc::Proposal proposal{*lm, twist, smc::ProposalKind::twisted};
};

smc::SweepOptions options(smc::SchemeKind scheme, std::uint64_t seed) {
  return {.particles = 4, .length = T, .scheme = scheme, .seed = seed};
}

double deviation(const std::vector<double>& log_ratio) {
  std::vector<double> ratio;
  for (const double x : log_ratio) ratio.push_back(std::exp(x));
  const Estimate e = mean_estimate(ratio);
  return std::abs(e.mean - 1) / e.se;
}

// The twist is rough, but not so rough that single runs carry the means: then standard errors could not be
// trusted.
class TinyIdentities : public testing::TestWithParam<smc::SchemeKind> {};

TEST_P(TinyIdentities, BothFormsAreUnbiasedAndNotInterchangeable) {
  if (comm::Communicator::world().size() > 1)
    GTEST_SKIP() << "other rank counts give the same bits (mpi_smc)";
  const comm::Communicator self = comm::Communicator::self();
  const Tiny tiny;
  std::vector<double> plain, conditional;
  for (std::uint64_t run = 0; run < 3000; ++run) {
    const smc::SweepOptions o = options(GetParam(), derive_seed(6, Stream::test, run));
    plain.push_back(smc::sweep(tiny.problem(), tiny.proposal, o, self).log_z - tiny.exact.log_z());
    const std::vector<std::int64_t> path = tiny.exact.draw(4, static_cast<std::int64_t>(run));
    conditional.push_back(tiny.exact.log_z() -
                          smc::sweep(tiny.problem(), tiny.proposal, o, self, path).log_z);
  }
  EXPECT_LT(deviation(plain), limit_se) << "E[Z_hat] = Z";
  EXPECT_LT(deviation(conditional), limit_se) << "Z E[1/Z_hat] = 1";
  for (double& x : plain) x = -x;
  for (double& x : conditional) x = -x;
  EXPECT_GT(deviation(plain), limit_se) << "the control: plain sweeps are no conditional ones";
  EXPECT_GT(deviation(conditional), limit_se) << "and the other way round";
}

INSTANTIATE_TEST_SUITE_P(Schemes, TinyIdentities,
                         testing::Values(smc::SchemeKind::multinomial, smc::SchemeKind::stratified,
                                         smc::SchemeKind::systematic, smc::SchemeKind::residual),
                         [](const auto& test) { return std::string(name_of(test.param)); });

TEST(TinyBounds, GoOnWhereTheyWereStopped) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Tiny tiny;
  BoundOptions bounds{options(smc::SchemeKind::systematic, 9), 7};
  bounds.sweep.particles = 16;
  SampleOptions samples{T, 600, 5};
  const ExactSource exact{300, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  smc::SweepCounters counters;
  Findings whole;
  ASSERT_TRUE(run_repeats(tiny.problem(), tiny.proposal, bounds, exact, self, comm::make_groups(self, 0),
                          whole, counters));
  ASSERT_TRUE(run_samples(tiny.problem(), tiny.proposal, samples, exact, self, whole));
  ASSERT_EQ(whole.repeats.size(), 7U);
  ASSERT_EQ(whole.q.size(), 600U);
  ASSERT_EQ(whole.g.size(), 300U);
  for (const int per_population : {0, 1}) {
    // Stopped at every 6th look, and gone on from what was found until then.
    Findings found;
    int n_looks = 0, n_stops = 0;
    bounds.steering.interrupt = samples.steering.interrupt = [&] { return ++n_looks % 6 == 0; };
    const comm::Groups groups = comm::make_groups(world, per_population);
    while (!run_repeats(tiny.problem(), tiny.proposal, bounds, exact, world, groups, found, counters)) {
      ASSERT_LT(++n_stops, 20);
      EXPECT_LT(found.repeats.size(), 7U);
    }
    while (!run_samples(tiny.problem(), tiny.proposal, samples, exact, world, found))
      ASSERT_LT(++n_stops, 20);
    EXPECT_GE(n_stops, 1);
    EXPECT_EQ(found, whole) << per_population << " ranks a population";
  }
}

TEST(TinyBounds, GoOnWhereARankStoppedASweep) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Tiny tiny;
  BoundOptions bounds{options(smc::SchemeKind::systematic, 9), 3};
  bounds.sweep.particles = 16;
  SampleOptions samples{T, 300, 5};
  const ExactSource exact{50, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  smc::SweepCounters counters;
  Findings whole;
  ASSERT_TRUE(run_repeats(tiny.problem(), tiny.proposal, bounds, exact, self, comm::make_groups(self, 0),
                          whole, counters));
  ASSERT_TRUE(run_samples(tiny.problem(), tiny.proposal, samples, exact, self, whole));
  // A repeat has four sweeps of three tokens, so it asks eight times: every place of the first is tried.
  for (int stop_at = 1; stop_at <= 10; ++stop_at)
    for (const int per_population : {0, 1}) {
      const comm::Groups groups = comm::make_groups(world, per_population);
      Findings found;
      int n_asked = 0, n_stops = 0;
      std::int64_t is_wished = 0;
      // As a signal that reaches one rank: it wishes to stop from then on, and all agree on it between
      // sweeps.
      bounds.steering.wish = samples.steering.wish = [&] {
        if (world.rank() == 0 && ++n_asked == stop_at) is_wished = 1;
        return is_wished != 0;
      };
      bounds.steering.interrupt =
          samples.steering.interrupt = [&] { return comm::all_reduce_max(is_wished, world) != 0; };
      const auto resume = [&] {
        is_wished = 0;
        return ++n_stops < 5;
      };
      while (!run_repeats(tiny.problem(), tiny.proposal, bounds, exact, world, groups, found, counters))
        ASSERT_TRUE(resume());
      while (!run_samples(tiny.problem(), tiny.proposal, samples, exact, world, found)) ASSERT_TRUE(resume());
      EXPECT_EQ(n_stops, 1) << "stopped when asked for the " << stop_at << "th time";
      EXPECT_EQ(found, whole) << per_population << " ranks a population, stopped at " << stop_at;
    }
}

TEST(TinyBounds, BracketLogZAndDoNotDependOnRanksOrGroups) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Tiny tiny;
  BoundOptions o{options(smc::SchemeKind::systematic, 9), 12};
  o.sweep.particles = 16;
  const ExactSource exact{50, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  const LogZBounds alone =
      bound_log_z(tiny.problem(), tiny.proposal, o, exact, self, comm::make_groups(self, 0));
  const LogZBounds together =
      bound_log_z(tiny.problem(), tiny.proposal, o, exact, world, comm::make_groups(world, 0));
  const LogZBounds apart =
      bound_log_z(tiny.problem(), tiny.proposal, o, exact, world, comm::make_groups(world, 1));
  for (const LogZBounds* b : {&together, &apart}) {
    EXPECT_EQ(b->smc_lower_runs, alone.smc_lower_runs);
    EXPECT_EQ(b->smc_upper_runs, alone.smc_upper_runs);
    EXPECT_EQ(b->sis_lower_runs, alone.sis_lower_runs);
    EXPECT_EQ(b->sis_upper_runs, alone.sis_upper_runs);
    EXPECT_EQ(b->mean_ess, alone.mean_ess);
    EXPECT_EQ(b->genealogical_variance, alone.genealogical_variance);
  }
  // Means of 12 runs: log Z is inside by more than chance, the bounds being biased outwards.
  const double log_z = tiny.exact.log_z();
  EXPECT_LT(alone.smc_lower.mean, log_z + limit_se * alone.smc_lower.se);
  EXPECT_GT(alone.smc_upper.mean, log_z - limit_se * alone.smc_upper.se);
  EXPECT_LT(alone.sis_lower.mean, log_z + limit_se * alone.sis_lower.se);
  EXPECT_GT(alone.sis_upper.mean, log_z - limit_se * alone.sis_upper.se);

  const ProposalKl kl = proposal_kl(tiny.problem(), tiny.proposal, T, 300, 5, exact, world);
  const ProposalKl kl_alone = proposal_kl(tiny.problem(), tiny.proposal, T, 300, 5, exact, self);
  EXPECT_EQ(kl.f_q.mean, kl_alone.f_q.mean);
  EXPECT_EQ(kl.g_q.mean, kl_alone.g_q.mean);
  EXPECT_LT(kl.f_q.mean, log_z + limit_se * kl.f_q.se) << "KL(q || sigma) >= 0";
  EXPECT_GT(kl.g_q.mean, log_z - limit_se * kl.g_q.se) << "KL(sigma || q) >= 0";
}

// F_q and G_q against sums over all sequences.
TEST(TinyBounds, DivergencesAgreeWithEnumeration) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const comm::Communicator self = comm::Communicator::self();
  const Tiny tiny;
  const std::int64_t V = tiny.lm->vocab_size();
  std::vector<std::int64_t> all;
  for (std::int64_t a = 0; a < V; ++a)
    for (std::int64_t b = 0; b < V; ++b)
      for (std::int64_t c = 0; c < V; ++c) all.insert(all.end(), {a, b, c});
  const ForcedPass pass = forced_pass(tiny.problem(), tiny.proposal, T, all);
  const std::vector<double> log_phi = tiny.potential.log_phi({tiny.prompt, all, T});
  double kl_q_sigma = 0, kl_sigma_q = 0, mass = 0;
  for (std::size_t i = 0; i < log_phi.size(); ++i) {
    const double log_q = pass.log_q[3 * i] + pass.log_q[3 * i + 1] + pass.log_q[3 * i + 2];
    const double log_sigma = pass.log_p0[3 * i] + pass.log_p0[3 * i + 1] + pass.log_p0[3 * i + 2] +
                             log_phi[i] - tiny.exact.log_z();
    mass += std::exp(log_q);
    kl_q_sigma += std::exp(log_q) * (log_q - log_sigma);
    kl_sigma_q += std::exp(log_sigma) * (log_sigma - log_q);
  }
  EXPECT_NEAR(mass, 1.0, 1e-5);
  const ExactSource exact{4000, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  const KlFromLogZ kl =
      kl_from_log_z(proposal_kl(tiny.problem(), tiny.proposal, T, 4000, 5, exact, self), tiny.exact.log_z());
  EXPECT_NEAR(kl.q_sigma.mean, kl_q_sigma, limit_se * kl.q_sigma.se);
  EXPECT_NEAR(kl.sigma_q.mean, kl_sigma_q, limit_se * kl.sigma_q.se);
}

}  // namespace
}  // namespace twistor::estimate
