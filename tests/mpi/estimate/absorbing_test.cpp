// SPDX-License-Identifier: Apache-2.0
// The identities of docs/method.md where texts may end early: the estimates stay unbiased, optimal twists
// exact.
//
// Statistical tests have fixed seeds and a limit of 4.5 standard errors, as in identities_test.cpp.
#include "twistor/model/absorbing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/tabular_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t end_token = 1;

/// The prompt is the end token too, as with models that begin every text with it.
struct EndingProblem {
  static constexpr std::int64_t V = 4, T = 4;
  std::shared_ptr<const model::TabularModel> base =
      std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 21, 0.7));
  model::AbsorbingModel lm{base, end_token, 1};
  test::Tokens prompt{end_token};
  test::RoughPotential potential{2.0};
  twistor::exact::Enumeration exact =
      twistor::exact::enumerate(lm, potential, prompt, T, {.keep_twists = true});
  test::TableTwist rough_twist{*base, 1,
                               [](const test::Tokens& prefix) { return 1.2 * test::rough(prefix, 9); }};
  test::TableTwist optimal_twist{
      *base, 1, [this](const test::Tokens& prefix) { return exact.log_optimal_twist(prefix); }};

  [[nodiscard]] Problem problem() const { return {lm, prompt, potential}; }
};

class Ending : public testing::TestWithParam<std::tuple<ProposalKind, Order, Trigger>> {
 protected:
  [[nodiscard]] SweepOptions options(std::int64_t K) const {
    return {.particles = K,
            .length = EndingProblem::T,
            .scheme = SchemeKind::systematic,
            .trigger = std::get<2>(GetParam()),
            .order = std::get<1>(GetParam())};
  }
  EndingProblem ending;
  Proposal proposal{ending.lm, ending.rough_twist, std::get<0>(GetParam()), 0.5};
  comm::Communicator self = comm::Communicator::self();
};

double deviation(const std::vector<double>& ratio) {
  const estimate::Estimate e = estimate::mean_estimate(ratio);
  return std::abs(e.mean - 1) / e.se;
}

TEST_P(Ending, BothBoundsAreUnbiased) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  SweepOptions o = options(4);
  std::vector<double> lower, upper;
  for (std::uint64_t run = 0; run < 3000; ++run) {
    o.seed = derive_seed(1, Stream::test, run);
    lower.push_back(std::exp(sweep(ending.problem(), proposal, o, self).log_z - ending.exact.log_z()));
    const test::Tokens path = ending.exact.draw(3, static_cast<std::int64_t>(run));
    upper.push_back(std::exp(ending.exact.log_z() - sweep(ending.problem(), proposal, o, self, path).log_z));
  }
  EXPECT_LT(deviation(lower), 4.5);
  EXPECT_LT(deviation(upper), 4.5);
}

TEST_P(Ending, TextsThatHaveEndedKeepTheirTwistAndTheirWeight) {
  const comm::Communicator world = comm::Communicator::world();
  const Sweep s = sweep(ending.problem(), proposal, options(40), world);
  std::int64_t n_ended = 0;
  for (std::int64_t i = 0; i < s.particles.size(); ++i)
    for (std::int64_t t = 1; t < EndingProblem::T; ++t) {
      const std::size_t at = s.particles.at(i, t);
      if (s.particles.tokens[at - 1] != end_token) continue;
      ++n_ended;
      EXPECT_EQ(s.particles.tokens[at], end_token);
      EXPECT_EQ(s.particles.log_p0[at], 0.0);
      EXPECT_EQ(s.particles.log_q[at], 0.0);
      EXPECT_EQ(s.particles.log_psi[at], s.particles.log_psi[at - 1]);
    }
  EXPECT_GT(comm::all_reduce_max(n_ended, world), 0) << "the case must occur";
  const smc::ForcedPass forced =
      smc::forced_pass(ending.problem(), proposal, EndingProblem::T, s.particles.tokens);
  EXPECT_EQ(forced.log_q, s.particles.log_q);
  EXPECT_EQ(forced.log_psi, s.particles.log_psi);
}

// The mask in the hidden states and the carrying of psi come from one rule: they mark the same steps, in
// sweeps and in the forced pass. The rough twist differs between any two live prefixes, so an equal psi is a
// carried one.
TEST_P(Ending, TheMaskMarksExactlyTheStepsThatCarryPsi) {
  const comm::Communicator world = comm::Communicator::world();
  SweepOptions o = options(40);
  o.trigger = Trigger::never;
  o.keep_hidden = true;
  const Sweep s = sweep(ending.problem(), proposal, o, world);
  const test::Tokens& tokens = s.particles.tokens;
  const smc::ForcedPass forced = smc::forced_pass(ending.problem(), proposal, EndingProblem::T, tokens);
  const auto mask_of = [&](const at::Tensor& hidden) {
    return ending.lm.mask_of(hidden.reshape({-1, ending.lm.hidden_size()}));
  };
  const std::vector<char> mask = mask_of(s.hidden);
  EXPECT_EQ(mask, ending.lm.end_rule().mask(tokens, EndingProblem::T));
  EXPECT_EQ(mask, mask_of(smc::hidden_states(ending.problem(), EndingProblem::T, tokens)));
  for (std::size_t at = 0; at < mask.size(); ++at) {
    const bool is_first = at % EndingProblem::T == 0;
    EXPECT_EQ(mask[at] != 0, !is_first && s.particles.log_psi[at] == s.particles.log_psi[at - 1]) << at;
    EXPECT_EQ(mask[at] != 0, !is_first && forced.log_psi[at] == forced.log_psi[at - 1]) << at;
    if (mask[at] == 0) continue;
    EXPECT_EQ(s.particles.log_p0[at] - s.particles.log_q[at], 0.0) << "weights do not move";
  }
  const std::int64_t n_ended = std::count(mask.begin(), mask.end(), 1);
  EXPECT_GT(comm::all_reduce_max(n_ended, world), 0) << "the case must occur";
}

TEST_P(Ending, RanksDoNotMatter) {
  SweepOptions o = options(23);
  for (o.seed = 1; o.seed < 10; ++o.seed) {
    const double together = sweep(ending.problem(), proposal, o, comm::Communicator::world()).log_z;
    EXPECT_EQ(together, sweep(ending.problem(), proposal, o, self).log_z);
  }
}

TEST_P(Ending, OptimalTwistsAreExact) {
  if (std::get<0>(GetParam()) != ProposalKind::twisted) GTEST_SKIP() << "the twist-induced proposal alone";
  const Proposal best(ending.lm, ending.optimal_twist, ProposalKind::twisted);
  for (const std::int64_t K : {1, 5}) {
    const SweepOptions o = options(K);
    EXPECT_NEAR(sweep(ending.problem(), best, o, self).log_z, ending.exact.log_z(), 1e-10);
    EXPECT_NEAR(sweep(ending.problem(), best, o, self, ending.exact.draw(1, 0)).log_z, ending.exact.log_z(),
                1e-10);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ways, Ending,
    testing::Values(std::tuple{ProposalKind::base, Order::draw_first, Trigger::ess},
                    std::tuple{ProposalKind::twisted, Order::resample_first, Trigger::every_step},
                    std::tuple{ProposalKind::twisted, Order::draw_first, Trigger::ess},
                    std::tuple{ProposalKind::tempered, Order::draw_first, Trigger::every_step}));

}  // namespace
}  // namespace twistor::smc
