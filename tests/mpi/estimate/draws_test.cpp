// SPDX-License-Identifier: Apache-2.0
// Draws from populations: their law against enumeration, and the same sequences whatever ranks and groups.
#include "twistor/estimate/draws.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "support/tabular_problem.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::estimate {
namespace {

using test::TabularProblem;

DrawOptions options(std::int64_t count, std::int64_t K, DrawFrom from) {
  return {.sweep = TabularProblem::sweep_options(K), .count = count, .from = from};
}

/// Pearson's statistic of sequences against sigma, all with fewer than 5 expected in one bin; and the bins.
std::pair<double, int> chi_square(const TabularProblem& problem, const std::vector<test::Tokens>& drawn) {
  const auto n = static_cast<double>(drawn.size());
  double statistic = 0, rest_expected = 0, rest_observed = 0;
  int n_bins = 1;
  for (std::int64_t i = 0; i < problem.exact.size(); ++i) {
    const test::Tokens s = problem.exact.sequence(i);
    const double expected = n * std::exp(problem.exact.log_sigma(s));
    const auto observed = static_cast<double>(std::ranges::count(drawn, s));
    if (expected < 5) {
      rest_expected += expected;
      rest_observed += observed;
      continue;
    }
    statistic += (observed - expected) * (observed - expected) / expected;
    ++n_bins;
  }
  return {statistic + std::pow(rest_observed - rest_expected, 2) / rest_expected, n_bins};
}

// The limit, bins + 6 sqrt(2 bins), has a false-alarm rate below 1e-6 for 50 bins and more. A population of
// 64 leaves a bias that 2000 draws do not show. The control takes a particle without looking at weights.
TEST(DrawSequences, FollowSigmaUnlikeAChoiceWithoutWeights) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator self = comm::Communicator::self();
  const comm::Groups groups = comm::make_groups(self, 0);
  const std::int64_t n = 2000, K = 64;
  const Draws draws =
      draw_sequences(problem.problem(), proposal, options(n, K, DrawFrom::draws), self, groups);
  const Draws whole =
      draw_sequences(problem.problem(), proposal, options(n * K, K, DrawFrom::population), self, groups);
  ASSERT_EQ(draws.sequences.size(), static_cast<std::size_t>(n));
  ASSERT_EQ(whole.sequences.size(), static_cast<std::size_t>(n * K));
  std::vector<test::Tokens> chosen, unweighted;
  std::vector<double> log_ratio, log_totals(static_cast<std::size_t>(n), log_zero);
  for (const WeightedSequence& s : draws.sequences) {
    chosen.push_back(s.tokens);
    log_ratio.push_back(s.log_weight);
  }
  for (const WeightedSequence& s : whole.sequences) {
    if (s.id == 7) unweighted.push_back(s.tokens);
    double& total = log_totals[static_cast<std::size_t>(s.population)];
    total = log_add_exp(total, s.log_weight);
  }
  const auto [statistic, n_bins] = chi_square(problem, chosen);
  const double limit = n_bins + 6 * std::sqrt(2.0 * n_bins);
  EXPECT_GT(n_bins, 50);
  EXPECT_LT(statistic, limit);
  EXPECT_GT(chi_square(problem, unweighted).first, limit);
  // A population's weights add up to its Z_hat, which is also the weight of the one that is chosen from it.
  for (std::size_t i = 0; i < log_ratio.size(); ++i) EXPECT_NEAR(log_ratio[i], log_totals[i], 1e-9);
  EXPECT_NEAR(log_sum_exp(log_ratio) - std::log(static_cast<double>(n)), problem.exact.log_z(), 0.02);
}

// With two particles a draw is far from sigma. A move leaves sigma as it is and tends to it, so after some
// the draws have its law; one that chose wrongly would tend to another.
TEST(DrawSequences, MovesBringThemToSigma) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "one rank is enough";
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator self = comm::Communicator::self();
  const comm::Groups groups = comm::make_groups(self, 0);
  const std::int64_t n = 4000;
  for (const std::int64_t moves : {0, 30}) {
    DrawOptions o = options(n, 2, DrawFrom::draws);
    o.moves = moves;
    const Draws draws = draw_sequences(problem.problem(), proposal, o, self, groups);
    std::vector<test::Tokens> drawn;
    for (const WeightedSequence& s : draws.sequences) drawn.push_back(s.tokens);
    const auto [statistic, n_bins] = chi_square(problem, drawn);
    const double limit = n_bins + 6 * std::sqrt(2.0 * n_bins);
    EXPECT_EQ(statistic<limit, moves> 0) << statistic << " of " << n_bins << " bins after " << moves;
    EXPECT_EQ(draws.n_new() > 0, moves > 0);
    EXPECT_LT(draws.n_new(), n * std::max<std::int64_t>(1, moves));
  }
}

TEST(DrawSequences, WholePopulationsDoNotMove) {
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator world = comm::Communicator::world();
  DrawOptions o = options(4, 2, DrawFrom::population);
  o.moves = 1;
  EXPECT_THROW((void)draw_sequences(problem.problem(), proposal, o, world, comm::make_groups(world, 0)),
               Error);
}

TEST(DrawSequences, DoNotDependOnRanksOrGroups) {
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const DrawFrom from : {DrawFrom::draws, DrawFrom::population}) {
    DrawOptions o = options(16, 7, from);
    o.moves = from == DrawFrom::draws ? 3 : 0;
    const Draws alone = draw_sequences(problem.problem(), proposal, o, self, comm::make_groups(self, 0));
    for (const int ranks_per_population : {0, 1}) {
      const Draws together = draw_sequences(problem.problem(), proposal, o, world,
                                            comm::make_groups(world, ranks_per_population));
      ASSERT_EQ(together.sequences.size(), 16u);
      EXPECT_EQ(together.mean_final_ess(), alone.mean_final_ess());
      EXPECT_EQ(together.n_new(), alone.n_new());
      EXPECT_EQ(together.n_done(), from == DrawFrom::draws ? 16 : 3);
      for (std::size_t i = 0; i < 16; ++i) {
        const WeightedSequence &a = together.sequences[i], &b = alone.sequences[i];
        EXPECT_EQ(std::tie(a.population, a.id, a.tokens, a.log_p0, a.log_q, a.log_phi, a.log_weight),
                  std::tie(b.population, b.id, b.tokens, b.log_p0, b.log_q, b.log_phi, b.log_weight));
      }
    }
  }
}

TEST(DrawSequences, GoOnWhereTheyWereStopped) {
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  DrawOptions o = options(11, 7, DrawFrom::draws);
  o.moves = 2;
  const Draws whole = draw_sequences(problem.problem(), proposal, o, self, comm::make_groups(self, 0));
  int n_asked = 0;
  Steering steering;
  steering.interrupt = [&] { return ++n_asked == 2; };  // the second round is thrown away
  const Draws part =
      draw_sequences(problem.problem(), proposal, o, world, comm::make_groups(world, 1), {}, steering);
  EXPECT_EQ(part.n_done(), std::min<std::int64_t>(world.size(), 11));
  const Draws rest = draw_sequences(problem.problem(), proposal, o, world, comm::make_groups(world, 0), part);
  ASSERT_EQ(rest.n_done(), 11);
  EXPECT_EQ(rest.mean_final_ess(), whole.mean_final_ess());
  EXPECT_EQ(rest.n_new(), whole.n_new());
  ASSERT_EQ(rest.sequences.size(), whole.sequences.size());
  for (std::size_t i = 0; i < whole.sequences.size(); ++i) {
    EXPECT_EQ(rest.sequences[i].tokens, whole.sequences[i].tokens);
    EXPECT_EQ(rest.sequences[i].log_weight, whole.sequences[i].log_weight);
  }
}

TEST(DrawSequences, AreSavedAsTheyCome) {
  const TabularProblem problem;
  const smc::Proposal proposal(problem.lm, problem.rough_twist, smc::ProposalKind::twisted);
  const comm::Communicator world = comm::Communicator::world();
  const comm::Groups groups = comm::make_groups(world, 1);
  for (const DrawFrom from : {DrawFrom::draws, DrawFrom::population}) {
    DrawOptions o = options(11, 7, from);
    const Draws whole = draw_sequences(problem.problem(), proposal, o, world, groups);
    std::vector<std::vector<double>> saved;
    o.save = [&](const Draws& found) { saved.push_back(to_numbers(found)); };
    (void)draw_sequences(problem.problem(), proposal, o, world, groups);
    EXPECT_TRUE(saved.empty()) << "ten seconds are not over";
    const Steering often{.interrupt = {}, .observer = {}, .wish = {}, .save_every_s = 0};
    EXPECT_EQ(to_numbers(draw_sequences(problem.problem(), proposal, o, world, groups, {}, often)),
              to_numbers(whole));
    const std::int64_t n = o.n_populations(), n_rounds = (n + world.size() - 1) / world.size();
    ASSERT_EQ(static_cast<std::int64_t>(saved.size()), n_rounds);
    for (std::int64_t round = 0; round < n_rounds; ++round) {
      // A run that is killed goes on from what was saved last.
      const Draws kept = draws_from_numbers(saved[static_cast<std::size_t>(round)]);
      EXPECT_EQ(kept.n_done(), std::min(n, (round + 1) * world.size()));
      EXPECT_EQ(to_numbers(draw_sequences(problem.problem(), proposal, o, world, groups, kept)),
                to_numbers(whole));
    }
  }
}

TEST(WeightedChoice, GivesEachItsShareAndTheDeadNone) {
  const std::array<double, 4> log_w{log_zero, std::log(1.0), log_zero, std::log(3.0)};
  EXPECT_EQ(weighted_choice(log_w, 1e-12), 1u);
  EXPECT_EQ(weighted_choice(log_w, 0.2499999), 1u);
  EXPECT_EQ(weighted_choice(log_w, 0.2500001), 3u);
  EXPECT_EQ(weighted_choice(log_w, 1 - 1e-16), 3u);
  const std::array<double, 3> tail{-700.0, 0.0, log_zero};
  EXPECT_EQ(weighted_choice(tail, 1 - 1e-16), 1u);
  const std::array<double, 2> dead{log_zero, log_zero};
  EXPECT_THROW((void)weighted_choice(dead, 0.5), Error);
}

}  // namespace
}  // namespace twistor::estimate
