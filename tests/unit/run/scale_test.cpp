// SPDX-License-Identifier: Apache-2.0
// Forecasts from counts and assumptions, by hand.
#include "twistor/run/scale.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace twistor::run {
namespace {

using ::testing::HasSubstr;

SweepForecast counted() {
  SweepForecast sweep{.particles = 1000, .share = 250, .length = 9, .compute = {250, 2}, .alone = {250, 3}};
  sweep.moves.resamplings = 4;
  sweep.moves.busiest_messages = 6;
  sweep.moves.busiest_bytes = 5000000;
  sweep.moves.told_bytes = 16000;
  sweep.population_s = 0.5;
  return sweep;
}

TEST(ScaleForecast, AddsUpTheNetwork) {
  SweepForecast sweep = counted();
  const ScaleOptions options{.ranks = 5, .latency_us = 1000, .bandwidth_gb_s = 0.001};
  add_network(sweep, options);
  // ceil(log2 5) = 3 messages for each of 10 reductions, 5 gathers and a broadcast, one for each of 4 times 4
  // assignments; 8000 bytes for each gather and 16000 for the assignments, at 1 MB/s.
  EXPECT_NEAR(sweep.collectives_s, 16 * 3 * 1e-3 + 16 * 1e-3 + 5 * 8e-3 + 16e-3, 1e-12);
  EXPECT_NEAR(sweep.moves_s, 6e-3 + 5, 1e-12);
  EXPECT_NEAR(sweep.seconds(), 2 + 0.5 + sweep.collectives_s + sweep.moves_s, 1e-12);
  EXPECT_NEAR(sweep.efficiency(), 3 / sweep.seconds(), 1e-12);
  UpdateForecast update{.ranks = 4, .compute_s = 1, .parameter_bytes = 1000};
  add_network(update, 7, options);
  EXPECT_NEAR(update.collectives_s, 7 * 2 * 1e-3 + 2 * 2 * (1e-3 + 1e-3), 1e-12);
}

TEST(ScaleForecast, OfOneRankHasNoNetwork) {
  SweepForecast sweep = counted();
  const ScaleOptions options{.ranks = 1};
  add_network(sweep, options);
  UpdateForecast update{.ranks = 1, .compute_s = 1, .parameter_bytes = 1000};
  add_network(update, 7, options);
  EXPECT_EQ(sweep.collectives_s + sweep.moves_s + update.collectives_s, 0);
}

TEST(ScaleForecast, SaysWhatItRestsOn) {
  ScaleForecast all{
      .options = {.ranks = 16}, .ranks_here = 2, .sweep = counted(), .no_update = "the twist is computed"};
  all.sweep.compute.n = 64;
  std::string text = scale_text(all);
  EXPECT_THAT(text, HasSubstr("extrapolated from 64 particles, measured on each of 2 ranks here"));
  EXPECT_THAT(text, HasSubstr("No forecast of an update: the twist is computed"));
  EXPECT_THAT(text, HasSubstr("Assumed: 5 us a message"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("check:")));
  all.sweep.compute.n = 250;
  all.update = UpdateForecast{.ranks = 8, .samples = 3, .compute_s = 0.25};
  all.measured_sweep_s = 5;
  text = scale_text(all);
  EXPECT_THAT(text, HasSubstr("measured with 250 particles on each of 2 ranks here"));
  EXPECT_THAT(text, HasSubstr("train.shards = 8: the other 8 ranks wait while 8 learn"));
  EXPECT_THAT(text, HasSubstr("forecast / measured = 0.50"));  // 2 + 0.5 of 5 s: no network was added
}

}  // namespace
}  // namespace twistor::run
