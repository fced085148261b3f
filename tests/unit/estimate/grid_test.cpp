// SPDX-License-Identifier: Apache-2.0
// What a grid is made of, and what its rows come to, by numbers worked out by hand.
#include "twistor/estimate/grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/error_of.hpp"

namespace twistor::estimate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Grid, TakesWhatIsNotGivenFromTheRun) {
  EXPECT_FALSE(GridOptions{}.is_given());
  const Grid by_seed = make_grid({{}, {3, 1}}, 64, 9);
  EXPECT_THAT(by_seed.particles, ElementsAre(64));
  EXPECT_THAT(by_seed.seeds, ElementsAre(3, 1));
  const Grid by_size = make_grid({{16, 4}, {}}, 64, 9);
  EXPECT_THAT(by_size.particles, ElementsAre(16, 4));
  EXPECT_THAT(by_size.seeds, ElementsAre(9));
  EXPECT_EQ(make_grid({{1, 2, 3}, {4, 5}}, 1, 1).size(), 6);
}

TEST(Grid, CountsBoundsOfAllPointsAndSamplesOnceASeed) {
  Options options;
  options.repeats = 2;
  options.samples = 100;
  // Two seeds: (8 + 16) particles, 2 repeats, 4 bounds with exact samples and 2 without; twice 100 samples.
  EXPECT_EQ(n_sequences({{8, 16}, {1, 2}}, options, 50), 2 * (24 * 2 * 4) + 2 * 200);
  EXPECT_EQ(n_sequences({{8, 16}, {1, 2}}, options, 0), 2 * (24 * 2 * 2) + 2 * 200);
  EXPECT_EQ(n_pieces({{8, 16}, {1, 2}}, 3, false), 12);
  EXPECT_EQ(n_pieces({{8, 16}, {1, 2}}, 3, true), 15);
}

TEST(Grid, RefusesWhatIsGivenTwice) {
  const auto refuse = [](const Options& options, const GridOptions& grid) {
    return std::string(test::error_of([&] { validate(options, grid, "checking"); }).what());
  };
  EXPECT_THAT(refuse({}, {{4, 8, 4}, {}}), HasSubstr("sweep.particles has 4 twice"));
  EXPECT_THAT(refuse({}, {{}, {1, 1}}), HasSubstr("sweep.seeds has 1 twice"));
  Options options;
  options.checkpoints = "a.h5,b.h5  a.h5";
  EXPECT_THAT(refuse(options, {}), HasSubstr("evaluate.checkpoints has a.h5 twice"));
  options.checkpoints = "a.h5";
  options.checkpoint = "b.h5";
  EXPECT_THAT(refuse(options, {}), HasSubstr("both given"));
}

TEST(Grid, NamedCheckpointsAreSeparatedByCommasOrBlanks) {
  Options options;
  EXPECT_TRUE(options.named_checkpoints().empty());
  options.checkpoint = "one with blanks.h5";
  EXPECT_THAT(options.named_checkpoints(), ElementsAre("one with blanks.h5"));
  options.checkpoint.clear();
  options.checkpoints = " a.h5, b/c.h5\td.h5 ";
  EXPECT_THAT(options.named_checkpoints(), ElementsAre("a.h5", "b/c.h5", "d.h5"));
}

TEST(PowerLaw, IsExactForAPower) {
  const std::vector<double> x{16, 64, 256};
  const Estimate b = power_law(x, {{8, 8, 8}, {2, 2, 2}, {0.5, 0.5, 0.5}});
  EXPECT_NEAR(b.mean, -1, 1e-12);
  EXPECT_NEAR(b.se, 0, 1e-12);
  EXPECT_EQ(b.n, 3);
  EXPECT_TRUE(std::isnan(power_law(x, {{8}, {2}, {0.5}}).se)) << "one seed tells no error";
}

// Means 2 and 1 at x = 1 and 2: b = -1. Without the first seed 3 and 1, without the second 1 and 1.
TEST(PowerLaw, HasTheErrorOfTheJackknife) {
  const Estimate b = power_law(std::vector<double>{1, 2}, {{1, 3}, {1, 1}});
  EXPECT_NEAR(b.mean, -1, 1e-12);
  const double without_first = -std::log(3) / std::log(2), mean = without_first / 2;
  EXPECT_NEAR(b.se, std::sqrt(0.5 * 2 * mean * mean), 1e-12);
}

TEST(PowerLaw, LeavesOutWhatHasNoLogarithm) {
  const std::vector<double> x{1, 2, 4};
  // The point at 2 has a mean below 0; the second seed is not known at 4.
  const Estimate b = power_law(x, {{4, 1, 4}, {-1, 1, -1}, {1, NAN, 1}});
  EXPECT_EQ(b.n, 2);
  EXPECT_NEAR(b.mean, -1, 1e-12);
  EXPECT_EQ(power_law(x, {{-1}, {1}, {-1}}).n, 0);
  EXPECT_EQ(power_law(x, {{NAN}, {NAN}, {NAN}}).n, 0);
}

/// An evaluation whose lower bound is `lower` and whose log Z is common.
Evaluation with_lower(double lower, double log_z) {
  Findings found;
  BoundRun run;
  run.smc_lower = run.sis_lower = lower;
  run.ess = {4};
  run.survivors = {4};
  found.repeats = {run};
  found.q = {{lower - 1}, {lower - 2}};
  KnownTarget known;
  known.exact_log_z = log_z;
  return make_evaluation(found, known);
}

TEST(MeanOverSeeds, HasTheErrorOverSeedsAndTheCommonLogZ) {
  const Evaluation mean = mean_over_seeds({with_lower(-3, -2), with_lower(-5, -2)});
  EXPECT_EQ(mean.seeds, 2);
  EXPECT_TRUE(mean.is_mean());
  EXPECT_EQ(mean["log_z.smc_lower"].mean, -4);
  EXPECT_EQ(mean["log_z.smc_lower"].se, 1);
  EXPECT_EQ(mean["kl.q_sigma"].mean, 3.5);
  EXPECT_EQ(mean.log_z.method, LogZMethod::exact);
  EXPECT_EQ(mean.log_z.se, 0);
  const Evaluation one = mean_over_seeds({with_lower(-3, -2)});
  EXPECT_EQ(one.seeds, 1);
  EXPECT_EQ(one.q.size(), 2u) << "the evaluation itself";
}

}  // namespace
}  // namespace twistor::estimate
