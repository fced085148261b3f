// SPDX-License-Identifier: Apache-2.0
// The fit to the tail of probabilities: exact on a line, close on draws from a law that has one, and an
// interval that covers.
#include "twistor/estimate/tail.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "twistor/base/philox.hpp"

namespace twistor::estimate {
namespace {

double p_of_score(double score) {
  return std::exp(-std::exp(-score));
}
/// Of a law whose scores exceed each other by 0.7 on average.
double p_of(double share) {
  return p_of_score(-5 - 0.7 * std::log(share));
}

TEST(FitTail, IsTheMeanExcessOverTheNextLargest) {
  std::vector<double> p(54, p_of_score(-3));
  for (const double score : {-1.0, 1.0, 0.0, -2.0, 0.5, 1.5}) p.push_back(p_of_score(score));
  const TailFit fit = fit_tail(p);
  EXPECT_EQ(fit.n_prompts, 60);
  EXPECT_EQ(fit.n_fitted, 6);
  EXPECT_NEAR(fit.threshold, -3, 1e-12);
  EXPECT_NEAR(fit.mean_excess, 3, 1e-12);
  // Half of the time the largest of n is above the share 1 - 2^(-1/n): of one, above a half.
  EXPECT_NEAR(largest_among(fit, 1), p_of_score(-3 + 3 * std::log(0.1 / 0.5)), 1e-12);
  EXPECT_NEAR(largest_among(fit, 100), p_of_score(-3 + 3 * std::log(0.1 / (1 - std::exp2(-0.01)))), 1e-12);
}

TEST(FitTail, CountsPromptsWithoutTheEvent) {
  std::vector<double> p(50, 0.0);
  for (const double score : {-1.0, 1.0, 0.0, -2.0, 0.5}) p.push_back(p_of_score(score));
  EXPECT_EQ(fit_tail(p).n_fitted, 0) << "none is left for the threshold";
  EXPECT_TRUE(std::isnan(largest_among(fit_tail(p), 100)));
  EXPECT_TRUE(std::isnan(forecast_largest(p, 100, 1).value));
  p[0] = p_of_score(-3);
  EXPECT_EQ(fit_tail(p).n_fitted, 5);
  EXPECT_EQ(fit_tail(p).n_prompts, 55);
  EXPECT_EQ(fit_tail({}).n_fitted, 0);
  EXPECT_TRUE(std::isfinite(fit_tail(std::vector<double>(9, 1.0)).threshold));
}

/// Prompts whose scores are exponential.
std::vector<double> drawn(std::size_t n, std::uint64_t experiment) {
  Philox random(5, Stream::test, 1, experiment);
  std::vector<double> p;
  for (std::size_t i = 0; i < n; ++i) p.push_back(p_of(random.uniform()));
  return p;
}

// 200 experiments of 300 prompts, of which 30 are fitted: the truth lies in 186 of the 95 % intervals. Were
// the true coverage 0.9, 160 or fewer would have a probability below 1e-4. Intervals of a thousandth must not
// cover.
TEST(ForecastLargest, CoversTheMedianOfTheLargest) {
  const double truth = p_of(1 - std::exp2(-1e-3));
  int n_covered = 0, n_shifted = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Forecast forecast = forecast_largest(drawn(300, i), 1e3, i, 200);
    n_covered += forecast.range.low <= truth && truth <= forecast.range.high ? 1 : 0;
    n_shifted += forecast.range.low / 1000 <= truth && truth <= forecast.range.high / 1000 ? 1 : 0;
    EXPECT_LE(forecast.range.low, forecast.range.high);
  }
  EXPECT_GT(n_covered, 160);
  EXPECT_LT(n_shifted, 160);
  const Forecast once = forecast_largest(drawn(300, 1), 1e3, 3),
                 again = forecast_largest(drawn(300, 1), 1e3, 3);
  EXPECT_EQ(once.range.low, again.range.low);
}

}  // namespace
}  // namespace twistor::estimate
