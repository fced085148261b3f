// SPDX-License-Identifier: Apache-2.0
// Intervals of probabilities and certified bounds, against values from tables and by their coverage.
#include "twistor/estimate/certainty.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::estimate {
namespace {

// Clopper and Pearson at 95 %: 10 of 100 has 0.04900 to 0.17622 (a standard example); 0 of n has
// 1 - 0.025^(1/n); and n of n mirrors it.
TEST(Binomial, HasTheKnownIntervals) {
  const Interval ten = binomial_interval(10, 100, 0.95), none = binomial_interval(0, 20, 0.95),
                 all = binomial_interval(20, 20, 0.95);
  EXPECT_NEAR(ten.low, 0.0490047, 1e-7);
  EXPECT_NEAR(ten.high, 0.1762226, 1e-7);
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 1 - std::pow(0.025, 0.05), 1e-12);
  EXPECT_NEAR(all.low, std::pow(0.025, 0.05), 1e-12);
  EXPECT_EQ(all.high, 1);
}

/// P(at most n of N succeed).
double binomial_cdf(std::int64_t n, std::int64_t N, double p) {
  double sum = 0;
  for (std::int64_t i = 0; i <= n; ++i)
    sum += std::exp(std::lgamma(static_cast<double>(N) + 1) - std::lgamma(static_cast<double>(i) + 1) -
                    std::lgamma(static_cast<double>(N - i) + 1) + static_cast<double>(i) * std::log(p) +
                    static_cast<double>(N - i) * std::log1p(-p));
  return sum;
}

// At the ends of the interval the tails are 2.5 % by their definition: N or fewer trials at the lower end, N
// or more (at most n - 1 successes in N - 1 trials) at the upper one.
TEST(Binomial, DrawsUntilASampleHaveTheirOwnLaw) {
  for (const auto& [n, N] : {std::pair<std::int64_t, std::int64_t>{1, 7}, {4, 50}, {30, 400}}) {
    const Interval p = negative_binomial_interval(n, N, 0.95);
    EXPECT_NEAR(1 - binomial_cdf(n - 1, N, p.low), 0.025, 1e-9);
    EXPECT_NEAR(binomial_cdf(n - 1, N - 1, p.high), 0.025, 1e-9);
    EXPECT_LT(p.high, binomial_interval(n, N, 0.95).high);
  }
}

struct Coverage {
  double interval = 0, certified = 0;
};

/// How often the interval and the certified lower bound of 10 runs hold log Z = 0.
Coverage coverage(const std::function<double(Philox&)>& log_z_hat) {
  constexpr int n = 4000;
  int held = 0, below = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    Philox random(9, Stream::test, 0, i);
    std::vector<double> runs;
    for (int r = 0; r < 10; ++r) runs.push_back(log_z_hat(random));
    const Interval range = mean_z_interval(runs).range;
    held += range.low <= 1 && 1 <= range.high ? 1 : 0;
    below += certified_log_z(runs, {}, 0).low <= 0 ? 1 : 0;
  }
  return {static_cast<double>(held) / n, static_cast<double>(below) / n};
}

// Five runs skewed to the left: their logs have mean -0.4 and variance 4.7 / 4, Student's t of 4 degrees
// is 2.776445, and Cox's end lies above t's own (0.87) and Hall's (0.83).
TEST(Interval, EndsWhereCoxDoesIfTheLogsAreSkewedToTheLeft) {
  const double variance = 4.7 / 4;
  const double cox =
      -0.4 + variance / 2 + 2.7764451 * std::sqrt(variance / 5 + variance * variance / (2.0 * 4));
  const MeanInterval z = mean_z_interval(std::vector<double>{-2, -1, 0, 0.5, 0.5});
  EXPECT_NEAR(std::log(z.range.high), cox, 1e-6);
  EXPECT_NEAR(cox, 1.960034, 1e-6);
}

// Log-normal Z_hat, the limit law of SMC, from narrow to wide; a plain t interval covers 80 % of the widest.
// The standard error of a coverage is 0.35 %.
TEST(Interval, CoversTheMeanOfSkewedRuns) {
  for (const double spread : {0.05, 0.3, 0.6, 1.0}) {
    const Coverage c =
        coverage([&](Philox& random) { return spread * random.normal() - spread * spread / 2; });
    EXPECT_GT(c.interval, 0.925) << spread;
    EXPECT_LT(c.interval, 0.97) << spread;
    EXPECT_GT(c.certified, 0.95) << spread;
  }
}

// Three in ten runs give 2.5 times as much, which no log-normal law describes: intervals of Student and of
// Cox together cover 92.4 %.
TEST(Interval, CoversTheMeanOfRunsWithRareLargeValues) {
  const Coverage c = coverage([&](Philox& random) {
    const double spread = 0.2, rare = random.uniform() < 0.3 ? std::log(2.5) : 0.0;
    return spread * random.normal() - spread * spread / 2 + rare - std::log(1 + 0.3 * 1.5);
  });
  EXPECT_GT(c.interval, 0.94);
  EXPECT_LT(c.interval, 0.97);
}

TEST(Interval, CoversTheMeanOfCountsOfWhichSomeAreZero) {
  const double mean = 3;
  const Coverage c = coverage([&](Philox& random) {
    double product = 1, count = -1;
    for (const double end = std::exp(-mean); product > end; ++count) product *= random.uniform();
    return std::log(count / mean);
  });
  EXPECT_GT(c.interval, 0.93);
  EXPECT_LT(c.interval, 0.98);
  EXPECT_GT(c.certified, 0.95);
}

// Runs that all missed what carries Z, and pinned ones that did not: the mean of 1 / Z_hat says more.
TEST(Interval, EndsWherePinnedRunsAllow) {
  const std::vector<double> lower{-1.0, -1.1, -0.9}, upper{0.5, 0.5, 0.5};
  EXPECT_LT(mean_z_interval(lower).range.high, 0.6);
  EXPECT_NEAR(mean_z_interval(lower, upper).range.high, std::exp(0.5), 1e-12);
  EXPECT_EQ(mean_z_interval(lower, upper).range.low, mean_z_interval(lower).range.low);
  // A single exact sample tells nothing of the error, nor do runs that are not there.
  EXPECT_EQ(mean_z_interval(lower, upper, 1).range.high, mean_z_interval(lower).range.high);
  EXPECT_EQ(mean_z_interval(lower, std::vector<double>(3, std::nan(""))).range.high,
            mean_z_interval(lower).range.high);
}

// Worked out by hand: log(40) / R and log 40 are what Markov's inequality costs.
TEST(Certified, IsMarkovsInequality) {
  const std::vector<double> lower{-2, -3}, upper{-1, 0};
  const Interval both = certified_log_z(lower, upper, 0);
  EXPECT_NEAR(both.low, -2.5 - std::log(40) / 2, 1e-12);
  EXPECT_NEAR(both.high, -0.5 + std::log(40) / 2, 1e-12);
  // Both pin one sample: a single mean of 1 / Z_hat.
  EXPECT_NEAR(certified_log_z(lower, upper, 1).high, -std::log((std::exp(1) + 1) / 2) + std::log(40), 1e-12);
  // A product that vanished leaves the mean.
  const std::vector<double> some{-2, log_zero};
  EXPECT_NEAR(certified_log_z(some, {}, 0).low, -2 - std::log(2) - std::log(40), 1e-12);
  EXPECT_TRUE(std::isnan(certified_log_z(some, {}, 0).high));
  EXPECT_EQ(certified_log_z(std::vector<double>(3, log_zero), {}, 0).low, log_zero);
}

TEST(Probability, IsExactOrOfTheBetterOfRejectionAndRuns) {
  const std::vector<double> runs{std::log(0.010), std::log(0.011), std::log(0.012)};
  KnownTarget known{.is_event = true};
  Probability p = probability_of(runs, {}, known);
  EXPECT_EQ(p.method, LogZMethod::mean_z_hat);
  EXPECT_NEAR(p.value, 0.011, 1e-15);
  EXPECT_LT(p.range.low, 0.010);
  EXPECT_GT(p.range.high, 0.012);
  known.rejection = {1000, 11, 0, false};
  EXPECT_EQ(probability_of(runs, {}, known).method, LogZMethod::mean_z_hat);
  known.rejection = {1'000'000, 11'000, 0, false};
  p = probability_of(runs, {}, known);
  EXPECT_EQ(p.method, LogZMethod::rejection);
  EXPECT_NEAR(p.value, 0.011, 1e-15);
  EXPECT_NEAR(p.range.low, binomial_interval(11'000, 1'000'000, 0.95).low, 1e-15);
  known.exact_log_z = std::log(0.0105);
  EXPECT_NEAR(probability_of(runs, {}, known).range.high, 0.0105, 1e-15);
  EXPECT_EQ(probability_of(std::vector<double>(2, log_zero), {}, {.is_event = true}).method,
            LogZMethod::none);
}

}  // namespace
}  // namespace twistor::estimate
