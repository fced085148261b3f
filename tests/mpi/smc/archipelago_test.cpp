// SPDX-License-Identifier: Apache-2.0
// A population of islands: unbiased in both forms of SMC, few messages, and the whole population's law where
// islands are single particles.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "support/pmpi_count.hpp"
#include "support/tabular_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t V = 3, T = 5;

/// phi is a product over tokens; the twist is rough, so that weights spread at every step.
struct Problems {
  model::TabularModel lm = model::TabularModel::random(V, 1 + T, 11, 0.7);
  std::vector<std::int64_t> prompt{2};
  std::unique_ptr<potential::Potential> potential;
  test::TableTwist twist{lm, 1, [](const test::Tokens& prefix) { return 1.2 * test::rough(prefix, 9); }};

  Problems() {
    potential::PotentialOptions options;
    options.potential = "tokens";
    options.scores = {1.0, -0.7, 0.3};
    options.length = T;
    potential = potential::make_potential(options, {.lm = &lm});
  }
  [[nodiscard]] Problem problem() const { return {lm, prompt, *potential}; }
};

struct Case {
  SchemeKind scheme;
  Trigger trigger;
  Order order;
  double prefix_weight;
};

class Islands : public testing::TestWithParam<Case> {};

// 4.5 standard errors: one false alarm in 147,000 for each of 12.
TEST_P(Islands, LeaveZHatUnbiasedInBothForms) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "other rank counts give the same bits";
  const comm::Communicator self = comm::Communicator::self();
  const Problems at;
  const auto exact = twistor::exact::enumerate(at.lm, *at.potential, at.prompt, T);
  const Proposal proposal(at.lm, at.twist, ProposalKind::twisted);
  const Problem problem = at.problem().with_start();
  SweepOptions options{.particles = 7,  // islands of 2, 2 and 3
                       .length = T,
                       .scheme = GetParam().scheme,
                       .trigger = GetParam().trigger,
                       .ess_threshold = 0.8,
                       .order = GetParam().order,
                       .prefix_weight = GetParam().prefix_weight,
                       .islands = 3};
  constexpr std::uint64_t n = 8000;
  double sums[2] = {}, squares[2] = {};
  std::int64_t n_alone = 0, n_together = 0;
  for (options.seed = 1; options.seed <= n; ++options.seed) {
    const auto pinned = exact.draw(77, static_cast<std::int64_t>(options.seed));
    const Sweep plain = sweep(problem, proposal, options, self);
    const double values[2] = {
        std::exp(plain.log_z - exact.log_z()),
        std::exp(exact.log_z() - sweep(problem, proposal, options, self, pinned).log_z)};
    for (int form = 0; form < 2; ++form) {
      sums[form] += values[form];
      squares[form] += values[form] * values[form];
    }
    n_alone += plain.counters.island_resamplings;
    n_together += plain.counters.resamplings;
  }
  for (int form = 0; form < 2; ++form) {
    const double mean = sums[form] / n, se = std::sqrt((squares[form] / n - mean * mean) / n);
    EXPECT_NEAR(mean, 1, 4.5 * se) << (form == 0 ? "plain" : "conditional");
    EXPECT_LT(se, 0.02) << "the test would show little";
  }
  EXPECT_GT(n_alone, static_cast<std::int64_t>(n) / 10) << "the test would show nothing";
  EXPECT_GT(n_together, static_cast<std::int64_t>(n) / 10) << "the test would show nothing";
}
INSTANTIATE_TEST_SUITE_P(
    All, Islands,
    testing::Values(Case{SchemeKind::multinomial, Trigger::every_step, Order::resample_first, 0},
                    Case{SchemeKind::stratified, Trigger::ess, Order::resample_first, 0},
                    Case{SchemeKind::systematic, Trigger::every_step, Order::draw_first, 0},
                    Case{SchemeKind::residual, Trigger::ess, Order::draw_first, 0},
                    Case{SchemeKind::stratified, Trigger::every_step, Order::resample_first, 0.8},
                    Case{SchemeKind::stratified, Trigger::every_step, Order::draw_first, 0.8}));

TEST(Archipelago, OfSingleParticlesIsThePopulation) {
  const comm::Communicator world = comm::Communicator::world();
  const Problems at;
  const Proposal proposal(at.lm, at.twist, ProposalKind::twisted);
  SweepOptions options{.particles = 12, .length = T, .trigger = Trigger::ess, .ess_threshold = 0.9};
  std::int64_t n = 0;
  for (options.seed = 1; options.seed <= 20; ++options.seed) {
    options.islands = 0;
    const Sweep whole = sweep(at.problem(), proposal, options, comm::Communicator::self());
    for (const std::int64_t islands : {12, 1000}) {  // there are at most as many islands as particles
      options.islands = islands;
      const Sweep apart = sweep(at.problem(), proposal, options, world);
      EXPECT_EQ(apart.log_z, whole.log_z);
      EXPECT_EQ(apart.ess, whole.ess);
      EXPECT_EQ(apart.unique_ancestors, whole.unique_ancestors);
      EXPECT_EQ(apart.n_founders, whole.n_founders);
      EXPECT_EQ(apart.counters.island_resamplings, 0);
    }
    n += whole.counters.resamplings;
  }
  EXPECT_GT(n, 10) << "the test would show nothing";
}

// One reduction of 128 bytes a step while the islands' weights are near one another: no gather, no particle.
TEST(Archipelago, SendsNothingUnlessTheIslandsAsk) {
  const comm::Communicator world = comm::Communicator::world();
  const Problems at;
  const Proposal proposal(at.lm, at.twist, ProposalKind::twisted);
  const Problem problem = at.problem().with_start();
  SweepOptions options{.particles = 64, .length = T, .ess_threshold = 0.5, .islands = 8};
  std::int64_t n_alone = 0, n_together = 0;
  for (options.seed = 1; options.seed <= 10; ++options.seed) {
    for (const double threshold : {0.01, 0.9}) {  // the islands' ESS is at least 1 of 8
      options.ess_threshold = threshold;
      pmpi::reset();
      const Sweep s = sweep(problem, proposal, options, world);
      const pmpi::Counts counts = pmpi::read();
      const std::int64_t together = comm::broadcast_value(s.counters.resamplings, world);
      // Besides: the sum over steps of particles without offspring, and founders at the end.
      EXPECT_EQ(counts.of("MPI_Allreduce").calls, T + 2);
      EXPECT_EQ(counts.of("MPI_Allreduce").bytes, 128 * (T + 1) + 8 * (T + 1));
      EXPECT_EQ(counts.of("MPI_Gatherv").calls, together + 1);
      EXPECT_EQ(counts.collectives(), T + 2 + together + 1 + 1);
      if (together == 0) {
        EXPECT_EQ(counts.messages(), 0);
      }
      n_alone += comm::all_reduce_sum(s.counters.island_resamplings, world);
      n_together += together;
    }
  }
  EXPECT_GT(n_alone, 100) << "the test would show nothing";
  EXPECT_GT(n_together, 0) << "the test would show nothing";
}

TEST(Archipelago, KeepsAncestorsOfAllOnEveryRank) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const Problems at;
  const Proposal proposal(at.lm, at.twist, ProposalKind::twisted);
  SweepOptions options{.particles = 13, .length = T, .islands = 4, .keep_ancestors = true};
  for (options.seed = 1; options.seed <= 10; ++options.seed) {
    const Sweep all = sweep(at.problem(), proposal, options, world),
                one = sweep(at.problem(), proposal, options, self);
    ASSERT_EQ(all.resamplings.size(), one.resamplings.size());
    ASSERT_FALSE(all.resamplings.empty());
    for (std::size_t i = 0; i < all.resamplings.size(); ++i) {
      const std::vector<std::int64_t>& ancestors = all.resamplings[i].ancestor_of_id;
      EXPECT_EQ(ancestors, one.resamplings[i].ancestor_of_id);
      EXPECT_EQ(all.resamplings[i].n_drawn, one.resamplings[i].n_drawn);
      const std::set<std::int64_t> distinct(ancestors.begin(), ancestors.end());
      // The first entry is from before the first draw, when nothing is resampled.
      EXPECT_EQ(std::ssize(distinct),
                all.unique_ancestors[static_cast<std::size_t>(all.resamplings[i].n_drawn)]);
    }
  }
}

}  // namespace
}  // namespace twistor::smc
