// SPDX-License-Identifier: Apache-2.0
// Means and standard errors on numbers worked by hand, their coverage by simulation, and Student's t against
// tables.
#include "twistor/estimate/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::estimate {
namespace {

TEST(MeanEstimate, WorkedByHand) {
  const Estimate e = mean_estimate(std::vector<double>{1.0, 2.0, 3.0, 6.0});
  EXPECT_DOUBLE_EQ(e.mean, 3.0);
  EXPECT_DOUBLE_EQ(e.se, std::sqrt(14.0 / 12.0));  // squares 4 + 1 + 0 + 9
  EXPECT_EQ(e.n, 4);
}

TEST(MeanEstimate, KeepsSmallSpreadsAroundLargeMeans) {
  std::vector<double> x;
  for (int i = 0; i < 1000; ++i) x.push_back(1e9 + (i % 2));
  EXPECT_DOUBLE_EQ(mean_estimate(x).mean, 1e9 + 0.5);
  EXPECT_NEAR(mean_estimate(x).se, std::sqrt(250.0 / (1000.0 * 999.0)), 1e-12);
}

TEST(MeanEstimate, ExtremeSamples) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(mean_estimate(std::vector<double>{4.0}).se));
  EXPECT_EQ(mean_estimate(std::vector<double>{4.0}).mean, 4.0);
  EXPECT_EQ(mean_estimate(std::vector<double>{-7.0, -7.0}).se, 0.0);
  const Estimate vanished = mean_estimate(std::vector<double>{1.0, -inf, 2.0});
  EXPECT_EQ(vanished.mean, -inf);
  EXPECT_TRUE(std::isnan(vanished.se));
  EXPECT_TRUE(std::isnan(half_width_95(vanished)));
  EXPECT_THROW((void)mean_estimate(std::vector<double>{inf, -inf}), Error);
  EXPECT_THROW((void)mean_estimate(std::vector<double>{1.0, std::nan("")}), Error);
  EXPECT_THROW((void)mean_estimate(std::vector<double>{}), Error);
}

TEST(WeightedMeanEstimate, EqualWeightsGiveThePlainEstimate) {
  const std::vector<double> x{0.5, -1.0, 2.0, 8.0, 3.0}, log_w(5, -300.0);
  const Estimate weighted = weighted_mean_estimate(x, log_w), plain = mean_estimate(x);
  EXPECT_NEAR(weighted.mean, plain.mean, 1e-14);
  EXPECT_NEAR(weighted.se, plain.se, 1e-14);
  EXPECT_EQ(weighted.n, 5);
}

TEST(WeightedMeanEstimate, WorkedByHand) {
  // W = 1/2, 1/4, 1/4; mean 2; sum W^2 (x - 2)^2 = 1/4 + 1/16 + 1/16 = 3/8; times 3/2.
  const std::vector<double> x{1.0, 3.0, 3.0}, log_w{std::log(2.0), 0.0, 0.0};
  EXPECT_NEAR(weighted_mean_estimate(x, log_w).mean, 2.0, 1e-15);
  EXPECT_NEAR(weighted_mean_estimate(x, log_w).se, std::sqrt(9.0 / 16.0), 1e-15);
}

TEST(WeightedMeanEstimate, ZeroWeightsDoNotCount) {
  const std::vector<double> x{1.0, log_zero, std::nan(""), 3.0}, log_w{0.0, log_zero, log_zero, 0.0};
  EXPECT_DOUBLE_EQ(weighted_mean_estimate(x, log_w).mean, 2.0);
  EXPECT_EQ(weighted_mean_estimate(x, log_w).n, 4);
  EXPECT_THROW((void)weighted_mean_estimate(x, std::vector<double>(4, log_zero)), Error);
  EXPECT_THROW((void)weighted_mean_estimate(x, std::vector<double>(3, 0.0)), Error);
}

// x uniform, weight 2x: mean 2/3. Over 4000 repeats of 100 samples the 95 % interval must hold the truth in
// 93 to 96.5 %: the delta method's own error is below 1 %, the rest is more than 3.5 standard errors of the
// coverage. The control: an se that forgets the weights misses too often or too rarely.
TEST(WeightedMeanEstimate, IntervalsCover) {
  int covered = 0, covered_unweighted = 0;
  const int n = 4000;
  for (int r = 0; r < n; ++r) {
    Philox random(8, Stream::test, 3, static_cast<std::uint64_t>(r));
    std::vector<double> x, log_w;
    for (int i = 0; i < 100; ++i) {
      x.push_back(random.uniform());
      log_w.push_back(std::log(2 * x.back()));
    }
    const Estimate e = weighted_mean_estimate(x, log_w);
    const Estimate unweighted{e.mean, mean_estimate(x).se, e.n};
    covered += std::abs(e.mean - 2.0 / 3) < half_width_95(e);
    covered_unweighted += std::abs(e.mean - 2.0 / 3) < half_width_95(unweighted);
  }
  EXPECT_GT(covered, 0.93 * n);
  EXPECT_LT(covered, 0.965 * n);
  EXPECT_TRUE(covered_unweighted < 0.93 * n || covered_unweighted > 0.965 * n) << covered_unweighted;
}

TEST(LogMeanExpEstimate, WorkedByHand) {
  const Estimate e = log_mean_exp_estimate(std::vector<double>{-1000.0, -1000.0 + std::log(3.0)});
  EXPECT_NEAR(e.mean, -1000.0 + std::log(2.0), 1e-12);
  EXPECT_NEAR(e.se, 0.5, 1e-12);  // 1 and 3: mean 2, se 1
  const Estimate vanished = log_mean_exp_estimate(std::vector<double>{log_zero, log_zero});
  EXPECT_EQ(vanished.mean, log_zero);
  EXPECT_TRUE(std::isnan(vanished.se));
  EXPECT_NEAR(log_mean_exp_estimate(std::vector<double>{log_zero, 0.0}).mean, -std::log(2.0), 1e-15);
}

TEST(IncompleteBeta, ClosedForms) {
  for (const double x : {0.0, 1e-9, 0.1, 0.5, 0.9, 1.0}) {
    EXPECT_NEAR(incomplete_beta(1, 1, x), x, 1e-14);
    EXPECT_NEAR(incomplete_beta(3, 1, x), x * x * x, 1e-14);
    EXPECT_NEAR(incomplete_beta(0.5, 0.5, x), 2 / std::numbers::pi * std::asin(std::sqrt(x)), 1e-13);
  }
}

TEST(StudentT, AgreesWithClosedFormsAndTables) {
  EXPECT_NEAR(student_t_quantile(0.975, 1) / std::tan(std::numbers::pi * 0.475), 1, 1e-10);
  for (const double p : {0.6, 0.9, 0.975, 0.999}) {
    const double a = 2 * p - 1;
    EXPECT_NEAR(student_t_quantile(p, 2) / (a * std::sqrt(2 / (1 - a * a))), 1, 1e-10) << p;
    EXPECT_DOUBLE_EQ(student_t_quantile(1 - p, 2), -student_t_quantile(p, 2));
  }
  // Printed tables, to their last digit.
  EXPECT_NEAR(student_t_quantile(0.975, 4), 2.776445, 5e-7);
  EXPECT_NEAR(student_t_quantile(0.975, 9), 2.262157, 5e-7);
  EXPECT_NEAR(student_t_quantile(0.975, 30), 2.042272, 5e-7);
  EXPECT_NEAR(student_t_quantile(0.995, 10), 3.169273, 5e-7);
  EXPECT_NEAR(student_t_quantile(0.975, 1e7), 1.959964, 2e-6);
  EXPECT_EQ(student_t_quantile(0.5, 3), 0);
  EXPECT_NEAR(half_width_95({0.0, 2.0, 5}), 2 * 2.776445, 1e-6);
}

}  // namespace
}  // namespace twistor::estimate
