// SPDX-License-Identifier: Apache-2.0
// The identities on the language model that ships with the project, whose target is enumerated: a real
// decoder, a real head.
#include <gtest/gtest.h>

#include <cmath>

#include "support/tiny_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/estimate/runs.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::estimate {
namespace {

constexpr double limit_se = 4.5;  // one false alarm in 150,000 a comparison; seeds are fixed
constexpr std::int64_t T = 3;

struct Tiny : test::TinyProblem {
  Tiny() : TinyProblem(1.5, {2, 3, 4, 5, 6, 7, 4, 32, 42, 8, 14, 15, 10, 42, 16, 4, 47, 8}) {}
  twistor::exact::Enumeration exact = twistor::exact::enumerate(*lm, potential, prompt, T);
  twist::HeadTwist twist{
      "mlp", {.width = lm->hidden_size(), .vocab_size = lm->vocab_size(), .init_scale = 0.4, .seed = 3}};
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
  const exact::Source exact{300, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
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
  const exact::Source exact{50, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
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
  EvaluationOptions o{.sweep = options(smc::SchemeKind::systematic, 9), .repeats = 12, .samples = 300};
  o.sweep.particles = 16;
  const exact::Source exact{50, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  const auto evaluated = [&](const comm::Communicator& comm, int per_population) {
    Findings found;
    return evaluate(tiny.problem(), tiny.proposal, o, exact, comm, comm::make_groups(comm, per_population),
                    found)
        .value();
  };
  const Evaluation alone = evaluated(self, 0), together = evaluated(world, 0), apart = evaluated(world, 1);
  for (const Evaluation* e : {&together, &apart}) {
    for (std::size_t i = 0; i < alone.estimates.size(); ++i) {
      const NamedEstimate &a = alone.estimates[i], &b = e->estimates[i];
      EXPECT_EQ(b.runs, a.runs) << a.name;
      EXPECT_EQ(b.value.n, a.value.n) << a.name;
    }
    EXPECT_EQ(e->mean_ess, alone.mean_ess);
    std::map<std::string, double> numbers = to_numbers(*e, "e"), of_alone = to_numbers(alone, "e");
    numbers.erase("e.seconds");
    of_alone.erase("e.seconds");
    EXPECT_EQ(numbers, of_alone);
    EXPECT_EQ(e->mean_survivors, alone.mean_survivors);
  }
  // Means of 12 runs: log Z is inside by more than chance, the bounds being biased outwards; and
  // KL(q || sigma), KL(sigma || q) >= 0.
  const double log_z = tiny.exact.log_z();
  for (const char* name : {"log_z.smc_lower", "log_z.sis_lower", "proposal.f_q"})
    EXPECT_LT(alone[name].mean, log_z + limit_se * alone[name].se) << name;
  for (const char* name : {"log_z.smc_upper", "log_z.sis_upper", "proposal.g_q"})
    EXPECT_GT(alone[name].mean, log_z - limit_se * alone[name].se) << name;
}

TEST(TinyBounds, AnEvaluationThatIsStoppedIsSavedAndGoesOn) {
  const comm::Communicator world = comm::Communicator::world();
  const Tiny tiny;
  const exact::Source exact{50, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  EvaluationOptions o{.sweep = options(smc::SchemeKind::systematic, 9), .repeats = 5, .samples = 300};
  const comm::Groups groups = comm::make_groups(world, 0);
  Findings whole, kept;
  const Evaluation expected = evaluate(tiny.problem(), tiny.proposal, o, exact, world, groups, whole).value();
  EXPECT_EQ(expected.counters.sums.size(), 7U);
  int n_looks = 0, n_saves = 0;
  o.steering.interrupt = [&] { return ++n_looks % 7 == 0; };
  o.steering.save_every_s = 1e9;
  o.save = [&](const Findings& found) {
    kept = findings_from_numbers(to_numbers(found));
    EXPECT_EQ(kept, found);
    ++n_saves;
  };
  for (int n_stops = 0; n_stops < 20; ++n_stops) {
    Findings found = kept;
    const auto e = evaluate(tiny.problem(), tiny.proposal, o, exact, world, groups, found);
    EXPECT_EQ(n_saves, n_stops + (e ? 0 : 1));
    if (!e) continue;
    EXPECT_GT(n_stops, 1);
    EXPECT_EQ(found, whole);
    return;
  }
  FAIL() << "it does not come to its end";
}

TEST(TinyBounds, WithoutExactSamplesTheUpperSideIsUnknown) {
  const comm::Communicator world = comm::Communicator::world();
  const Tiny tiny;
  const EvaluationOptions o{.sweep = options(smc::SchemeKind::systematic, 9), .repeats = 2, .samples = 10};
  Findings found;
  const Evaluation e =
      evaluate(tiny.problem(), tiny.proposal, o, {}, world, comm::make_groups(world, 0), found).value();
  for (const NamedEstimate& estimate : e.estimates) {
    const bool needs_sigma = estimate.name.ends_with("_upper") || estimate.name == "kl.sigma_q" ||
                             estimate.name == "kl.symmetrised" || estimate.name == "proposal.g_q" ||
                             estimate.name == "log_z.rejection";
    EXPECT_EQ(estimate.value.n == 0, needs_sigma) << estimate.name;
    EXPECT_EQ(std::isnan(estimate.value.mean), needs_sigma) << estimate.name;
  }
  EXPECT_EQ(e.log_z.method, LogZMethod::mean_z_hat);
  const auto sure = [&](const std::string& estimator) {
    return surely_below_log_z(e[estimator + "lower"], e[estimator + "mean"]);
  };
  EXPECT_EQ(e.log_z.low,
            e[sure("log_z.smc_") > sure("log_z.sis_") ? "log_z.smc_lower" : "log_z.sis_lower"].mean);
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
  const smc::ForcedPass pass = smc::forced_pass(tiny.problem(), tiny.proposal, T, all);
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
  const exact::Source exact{4000, [&](std::int64_t i) { return tiny.exact.draw(8, i); }};
  Findings found;
  const EvaluationOptions o{.sweep = options(smc::SchemeKind::systematic, 5),
                            .repeats = 1,
                            .samples = 4000,
                            .known = {.exact_log_z = tiny.exact.log_z()}};
  const Evaluation e =
      evaluate(tiny.problem(), tiny.proposal, o, exact, self, comm::make_groups(self, 0), found).value();
  EXPECT_NEAR(e["kl.q_sigma"].mean, kl_q_sigma, limit_se * e["kl.q_sigma"].se);
  EXPECT_NEAR(e["kl.sigma_q"].mean, kl_sigma_q, limit_se * e["kl.sigma_q"].se);
  EXPECT_EQ(e.log_q_error_largest, 0);
  // The same by enumeration of q: float32 logits leave 1e-6.
  const auto sums = enumerate_divergences(tiny.problem(), tiny.proposal, T, tiny.exact.log_z(), self).value();
  EXPECT_NEAR(sums.mass, mass, 1e-12);
  EXPECT_EQ(sums.n_sequences, static_cast<double>(V * V * V));
  EXPECT_NEAR(tiny.exact.log_z() - sums.f_q, kl_q_sigma, 1e-4);
  EXPECT_NEAR(sums.g_q - tiny.exact.log_z(), kl_sigma_q, 1e-4);
}

TEST(TinyBounds, EnumeratedDivergencesDoNotDependOnRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Tiny tiny;
  const auto of = [&](const comm::Communicator& comm) {
    return enumerate_divergences(tiny.problem(), tiny.proposal, T, tiny.exact.log_z(), comm).value();
  };
  EXPECT_EQ(of(world), of(self));
  int n_looks = 0;
  const Steering stopped{.interrupt = [&] { return ++n_looks == 2; }, .observer = {}, .wish = {}};
  EXPECT_FALSE(enumerate_divergences(tiny.problem(), tiny.proposal, T, tiny.exact.log_z(), world, stopped));
}

// A q that draws what phi forbids: F_q and E[log phi] are -inf, G_q is not.
TEST(TinyBounds, EnumerationSeesWhatPhiForbids) {
  class NotFive final : public potential::Potential {
   public:
    std::vector<double> log_phi(const potential::Sequences& s) const override {
      std::vector<double> out;
      for (std::int64_t i = 0; i < s.size(); ++i)
        out.push_back(s.tokens[static_cast<std::size_t>(i * s.length)] == 5 ? -INFINITY : 0.0);
      return out;
    }
    double log_phi_bound() const override { return 0; }
    std::string description() const override { return "no five first"; }
  };
  const comm::Communicator world = comm::Communicator::world();
  const Tiny tiny;
  const NotFive potential;
  const smc::Problem problem{*tiny.lm, tiny.prompt, potential};
  const auto exact = twistor::exact::enumerate(*tiny.lm, potential, tiny.prompt, T);
  const auto sums = enumerate_divergences(problem, tiny.proposal, T, exact.log_z(), world).value();
  EXPECT_EQ(sums.f_q, -INFINITY);
  EXPECT_EQ(sums.log_phi, -INFINITY);
  EXPECT_TRUE(std::isfinite(sums.g_q));
  EXPECT_NEAR(sums.mass, 1, 1e-5);
}

}  // namespace
}  // namespace twistor::estimate
