// SPDX-License-Identifier: Apache-2.0
// Values where other tests see equality alone: special cases of the sweep worked out from its record, and the
// numbers of an evaluation against sums over all sequences.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support/tabular_problem.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::estimate {
namespace {

constexpr std::int64_t V = 4, T = 4, end_token = 1;

struct Case {
  std::string name;
  smc::ProposalKind kind;
  bool can_end;
};

/// A tabular problem whose texts may end, and a proposal of each kind.
class Values : public testing::TestWithParam<Case> {
 protected:
  Values() {
    if (GetParam().can_end) ending_ = std::make_unique<model::AbsorbingModel>(base_, end_token, 1);
  }
  [[nodiscard]] const model::LanguageModel& lm() const {
    return ending_ != nullptr ? *ending_ : static_cast<const model::LanguageModel&>(*base_);
  }
  [[nodiscard]] smc::Problem problem() const { return {lm(), prompt, potential}; }
  [[nodiscard]] smc::Proposal proposal() const { return {lm(), twist, GetParam().kind, 0.5}; }
  [[nodiscard]] twistor::exact::Enumeration enumeration() const {
    return twistor::exact::enumerate(lm(), potential, prompt, T);
  }

  std::shared_ptr<const model::TabularModel> base_ =
      std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 11, 0.7));
  std::unique_ptr<model::AbsorbingModel> ending_;
  test::Tokens prompt{2};
  test::RoughPotential potential{2.0};
  test::TableTwist twist{*base_, 1, [](const test::Tokens& prefix) { return 1.2 * test::rough(prefix, 9); }};
  comm::Communicator self = comm::Communicator::self(), world = comm::Communicator::world();
};

double sum(std::span<const double> x) {
  return std::accumulate(x.begin(), x.end(), 0.0);
}

TEST_P(Values, OfOnePinnedParticleAreTheWeightOfItsPath) {
  const smc::Proposal q = proposal();
  const auto exact = enumeration();
  for (std::int64_t i = 0; i < 20; ++i) {
    const test::Tokens path = exact.draw(3, i);
    const smc::ForcedPass pass = smc::forced_pass(problem(), q, T, path);
    const double log_phi = potential.log_phi({prompt, path, T})[0];
    const smc::SweepOptions o{.particles = 1, .length = T, .seed = static_cast<std::uint64_t>(i)};
    EXPECT_NEAR(smc::sweep(problem(), q, o, self, path).log_z, sum(pass.log_p0) + log_phi - sum(pass.log_q),
                1e-12);
  }
}

TEST_P(Values, OfOneStepAreTheMeanOfItsWeights) {
  const smc::Proposal q = proposal();
  const smc::SweepOptions o{.particles = 9, .length = 1, .seed = 4};
  const smc::Sweep s = smc::sweep(problem(), q, o, self);
  std::vector<double> log_w;
  for (std::size_t i = 0; i < 9; ++i)
    log_w.push_back(s.particles.log_p0[i] + s.log_phi[i] - s.particles.log_q[i]);
  EXPECT_NEAR(s.log_z, log_sum_exp(log_w) - std::log(9), 1e-12);
}

/// The same sums as enumerate_divergences(), sequence by sequence.
ExactDivergences by_hand(const smc::Problem& problem, const smc::Proposal& q, double log_z) {
  ExactDivergences out;
  for (std::int64_t code = 0; code < V * V * V * V; ++code) {
    test::Tokens s;
    for (std::int64_t power = V * V * V; power > 0; power /= V) s.push_back(code / power % V);
    const smc::ForcedPass pass = smc::forced_pass(problem, q, T, s);
    const double log_p0 = sum(pass.log_p0), log_q = sum(pass.log_q);
    if (log_p0 == log_zero) continue;
    const double log_phi = problem.potential.log_phi({problem.prompt, s, T})[0],
                 ratio = log_p0 + log_phi - log_q;
    out.f_q += std::exp(log_q) * ratio;
    out.g_q += std::exp(log_p0 + log_phi - log_z) * ratio;
    out.log_phi += std::exp(log_q) * log_phi;
    out.kl_q_p0 += std::exp(log_q) * (log_q - log_p0);
    out.mass += std::exp(log_q);
    ++out.n_sequences;
  }
  return out;
}

TEST_P(Values, OfDivergencesAreThoseOfEnumeration) {
  const smc::Proposal q = proposal();
  const double log_z = enumeration().log_z();
  const ExactDivergences expected = by_hand(problem(), q, log_z),
                         found = enumerate_divergences(problem(), q, T, log_z, world).value();
  EXPECT_NEAR(found.f_q, expected.f_q, 1e-12);
  EXPECT_NEAR(found.g_q, expected.g_q, 1e-12);
  EXPECT_NEAR(found.log_phi, expected.log_phi, 1e-12);
  EXPECT_NEAR(found.kl_q_p0, expected.kl_q_p0, 1e-12);
  EXPECT_NEAR(found.mass, 1, 1e-12);
  EXPECT_EQ(found.n_sequences, expected.n_sequences);
  EXPECT_LT(found.f_q, log_z);
  EXPECT_GT(found.g_q, log_z);
  if (GetParam().kind == smc::ProposalKind::base)
    EXPECT_NEAR(found.kl_q_p0, 0, 1e-12);
  else
    EXPECT_GT(found.kl_q_p0, 0.01);
}

// 20,000 samples against the sums, at 4.5 standard errors; and an evaluation that enumerates gives the sums.
TEST_P(Values, OfSampledEstimatesAgreeWithEnumeration) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const smc::Proposal q = proposal();
  const auto exact = enumeration();
  const ExactDivergences truth = enumerate_divergences(problem(), q, T, exact.log_z(), self).value();
  const exact::Source source{20000, [&](std::int64_t i) { return exact.draw(8, i); }};
  EvaluationOptions o{.sweep = {.particles = 8, .length = T},
                      .repeats = 3,
                      .samples = 20000,
                      .known = {.exact_log_z = exact.log_z()}};
  Findings found;
  const auto evaluated = [&] {
    return evaluate(problem(), q, o, source, self, comm::make_groups(self, 0), found).value();
  };
  const Evaluation sampled = evaluated();
  o.enumerate = true;
  const Evaluation summed = evaluated();
  const double log_z = exact.log_z();
  for (const auto& [name, value] : {std::pair{"proposal.f_q", truth.f_q},
                                    {"proposal.g_q", truth.g_q},
                                    {"proposal.log_phi", truth.log_phi},
                                    {"proposal.kl_q_p0", truth.kl_q_p0},
                                    {"kl.q_sigma", log_z - truth.f_q},
                                    {"kl.sigma_q", truth.g_q - log_z},
                                    {"kl.symmetrised", truth.g_q - truth.f_q}}) {
    EXPECT_NEAR(sampled[name].mean, value, 4.5 * sampled[name].se + 1e-12) << name;
    EXPECT_LT(sampled[name].se, 0.03) << name;
    EXPECT_NEAR(summed[name].mean, value, 1e-12) << name;
    EXPECT_TRUE(summed.find(name).is_exact) << name;
  }
  EXPECT_NEAR(sampled["kl.symmetrised"].se,
              std::hypot(sampled["proposal.f_q"].se, sampled["proposal.g_q"].se), 1e-15);
  EXPECT_EQ(sampled.log_q_error_largest, 0);
  EXPECT_EQ(sampled.log_z.method, LogZMethod::exact);
}

INSTANTIATE_TEST_SUITE_P(Proposals, Values,
                         testing::Values(Case{"base", smc::ProposalKind::base, false},
                                         Case{"twisted", smc::ProposalKind::twisted, false},
                                         Case{"tempered", smc::ProposalKind::tempered, false},
                                         Case{"base_with_ends", smc::ProposalKind::base, true},
                                         Case{"twisted_with_ends", smc::ProposalKind::twisted, true},
                                         Case{"tempered_with_ends", smc::ProposalKind::tempered, true}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace twistor::estimate
