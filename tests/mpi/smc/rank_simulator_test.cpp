// SPDX-License-Identifier: Apache-2.0
// Ranks that are only counted send what real ones send.
#include "twistor/smc/rank_simulator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numeric>

#include "support/tabular_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/model/load.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::smc {
namespace {

struct Case {
  Order order;
  Trigger trigger;
};

class CountedRanks : public ::testing::TestWithParam<Case> {};

TEST_P(CountedRanks, SendWhatRealOnesSend) {
  const comm::Communicator world = comm::Communicator::world();
  // Ends within a block, so that this block travels, and 20 more tokens fill two.
  const std::vector<std::int64_t> prompt{2, 3, 4, 5, 6, 7, 4, 34, 42, 8, 14, 15, 10, 42, 16, 4, 8, 9};
  const auto lm = model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny", {});
  const auto twist = twist::make_twist("linear", {.width = lm->feature_size(),
                                                  .vocab_size = lm->vocab_size(),
                                                  .init_scale = 3.0,
                                                  .engine = lm->engine()});
  const test::FlatPotential phi;
  const Problem problem = Problem{*lm, prompt, phi}.with_start();
  const Proposal proposal(*lm, *twist, ProposalKind::twisted);
  SweepOptions options;
  options.particles = 53;
  options.length = 20;
  options.order = GetParam().order;
  options.trigger = GetParam().trigger;
  options.keep_ancestors = true;
  Sweep real = sweep(problem, proposal, options, world);
  std::array<std::int64_t, 3> sent{real.counters.moved_copies, real.counters.sent_messages,
                                   real.counters.sent_bytes};
  comm::all_reduce_sum(std::span<std::int64_t>(sent), world);

  const bool is_before_draw = options.order == Order::resample_first;
  const auto L = static_cast<std::int64_t>(prompt.size());
  RankSimulator ranks(options.particles, world.size(), L, travel_bytes(problem, proposal, options.order));
  std::int64_t length = L;
  for (const Resampling& one : real.resamplings) {
    const std::int64_t cached = L + one.n_drawn - (is_before_draw ? 0 : 1);
    while (length < cached) ranks.grown_to(++length);
    ranks.resampled({one.ancestor_of_id}, one.n_drawn, cached);
  }
  ASSERT_GT(real.resamplings.size(), 1u);
  EXPECT_EQ(ranks.counts().resamplings, std::ssize(real.resamplings));
  EXPECT_EQ(ranks.counts().moved, sent[0]);
  EXPECT_EQ(ranks.counts().copies, sent[1]);
  EXPECT_EQ(ranks.counts().bytes, sent[2]);
  EXPECT_EQ(ranks.counts().bytes > 0, world.size() > 1);
  EXPECT_EQ(ranks.counts().told_bytes > 0, world.size() > 1);
  EXPECT_LE(ranks.counts().peak_bytes, ranks.counts().busiest_bytes);
  EXPECT_LE(ranks.counts().busiest_bytes, ranks.counts().bytes);
}

INSTANTIATE_TEST_SUITE_P(Orders, CountedRanks,
                         ::testing::Values(Case{Order::resample_first, Trigger::ess},
                                           Case{Order::resample_first, Trigger::every_step},
                                           Case{Order::draw_first, Trigger::every_step}));

TEST(SimulatedSweep, ResamplesWhereItsWeightsSpread) {
  SweepOptions options;
  options.particles = 4000;
  options.length = 6;
  options.trigger = Trigger::ess;
  // Variance 0.3, 0.6, 0.9 of the log weights: ESS / K = exp(-0.9) = 0.41 < 1 / 2 after the third.
  const std::vector<double> ess{1000 * std::exp(-0.3), 1000 * std::exp(-0.6), 1000 * std::exp(-0.9),
                                1000 * std::exp(-0.3), 1000 * std::exp(-0.6), 1000 * std::exp(-0.9)};
  const Spread spread = spread_of(ess, 1000, Trigger::ess, 0.5);
  EXPECT_THAT(spread.sd, ::testing::Each(::testing::DoubleNear(std::sqrt(0.3), 1e-12)));
  const TravelBytes bytes{.block = 100, .row = 10, .step = 1};
  const RankCounts many = simulate_sweep(options, 64, 16, bytes, spread, true);
  EXPECT_EQ(many.resamplings, 2);
  EXPECT_GT(many.moved, 0);
  EXPECT_GE(many.moved, many.copies);
  EXPECT_LE(many.messages, 2 * 63);
  // The prompt's block is everybody's; a copy has its row, its steps (2 and 5) and one block.
  EXPECT_GE(many.bytes, many.copies * (10 + 2 + 100));
  EXPECT_LE(many.bytes, many.copies * (10 + 5 + 100));
  const RankCounts one = simulate_sweep(options, 1, 16, bytes, spread, true);
  EXPECT_EQ(one.resamplings, 2);
  EXPECT_EQ(one.bytes + one.moved + one.messages, 0);
}

}  // namespace
}  // namespace twistor::smc
