// SPDX-License-Identifier: Apache-2.0
// Counters over time on one rank, and over ranks in one reduction for each kind.
#include <gtest/gtest.h>

#include "support/pmpi_count.hpp"
#include "twistor/comm/counters.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {
namespace {

SweepCounters sweep_of(std::int64_t x) {
  SweepCounters s;
  s.token_forwards = x;
  s.rows_scored = 2 * x;
  s.resamplings = 3 * x;
  s.island_resamplings = 7 * x;
  s.moved_copies = 4 * x;
  s.sent_messages = 5 * x;
  s.sent_bytes = (std::int64_t{1} << 53) + x;  // which a double does not tell from its neighbours
  s.peak_live_blocks = 6 * x;
  s.dense_blocks = 100 - x;
  s.forward_s = 0.5 * static_cast<double>(x);
  s.heads_s = 1;
  s.resample_s = 2;
  s.potential_s = 4;
  return s;
}

TEST(Counters, AddUpOverTimeByTheirKinds) {
  Counters c;
  c.add(sweep_of(3));
  c.add(sweep_of(1));
  const Counters expected{
      .sums = {{"token_forwards", 4},
               {"rows_scored", 8},
               {"resamplings", 12},
               {"island_resamplings", 28},
               {"moved_copies", 16},
               {"sent_messages", 20},
               {"sent_bytes", (std::int64_t{1} << 54) + 4}},
      .maxima = {{"live_blocks_peak", 18}, {"dense_blocks_peak", 99}},
      .seconds = {{"forward_s", 2}, {"heads_s", 2}, {"resample_s", 4}, {"potential_s", 8}}};
  EXPECT_EQ(c, expected);
  // The same as sweeps added first, and as counters added to counters.
  SweepCounters both = sweep_of(3);
  add_counters(both, sweep_of(1));
  Counters at_once, twice;
  at_once.add(both);
  EXPECT_EQ(at_once, expected);
  for (const std::int64_t x : {3, 1}) {
    Counters one;
    one.add(sweep_of(x));
    twice.add(one);
  }
  EXPECT_EQ(twice, expected);
}

TEST(Counters, OfAllRanksAreSumsAndMaximaInThreeReductions) {
  const auto world = comm::Communicator::world();
  const std::int64_t P = world.size(), r = world.rank();
  Counters mine;
  mine.add(sweep_of(r + 1));
  pmpi::reset();
  const Counters all = comm::all_reduce(mine, world);
  const pmpi::Counts counts = pmpi::read();
  EXPECT_EQ(counts.collectives(), 3);
  EXPECT_EQ(counts.messages(), 0);
  const std::int64_t sum = P * (P + 1) / 2;
  EXPECT_EQ(all.sums.at("token_forwards"), sum);
  EXPECT_EQ(all.sums.at("sent_bytes"), P * (std::int64_t{1} << 53) + sum);
  EXPECT_EQ(all.maxima.at("live_blocks_peak"), 6 * P);  // on the last rank
  EXPECT_EQ(all.maxima.at("dense_blocks_peak"), 99);    // on the first
  EXPECT_EQ(all.seconds.at("forward_s"), 0.5 * static_cast<double>(P));
  EXPECT_EQ(all.seconds.at("heads_s"), 1);
  EXPECT_EQ(all.sums.size() + all.maxima.size() + all.seconds.size(), 13u);
}

}  // namespace
}  // namespace twistor::smc
