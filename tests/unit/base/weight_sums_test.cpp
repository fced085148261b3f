// SPDX-License-Identifier: Apache-2.0
// A weight that many particles share is added at once, to the bits of adding it for each.
#include <gtest/gtest.h>

#include <cmath>

#include <limits>
#include <vector>

#include "twistor/base/reproducible_sum.hpp"

namespace twistor {
namespace {

TEST(WeightSums, TimesAreRepeatedAdditions) {
  struct Term {
    double log_w;
    std::int64_t times;
  };
  const std::vector<Term> terms{
      {-3.25, 7}, {700.5, 1}, {-1e3, 100}, {0.1, 12345}, {-std::numeric_limits<double>::infinity(), 3}};
  WeightSums at_once, one_by_one;
  for (const Term& term : terms) {
    at_once.add(term.log_w, term.times);
    for (std::int64_t i = 0; i < term.times; ++i) one_by_one.add(term.log_w);
    EXPECT_EQ(at_once, one_by_one) << term.log_w;
  }
}

// By the sums' digits, not by logarithms: weights of 1 have an ESS of exactly K, so that a threshold of K is
// never met by rounding; others are as right as their exponentials.
TEST(WeightSums, EssOfEqualWeightsIsTheirNumber) {
  for (const double log_w : {0.0, -3.25, 700.0, -12345.0})
    for (const std::int64_t K : {1, 3, 64, 1000}) {
      WeightSums sums;
      sums.add(log_w, K);
      EXPECT_NEAR(sums.ess() / static_cast<double>(K), 1, 1e-15 * (1 + std::abs(log_w)));
      if (log_w == 0.0) {
        EXPECT_EQ(sums.ess(), static_cast<double>(K));
      }
    }
}

TEST(WeightSums, EssIsThatOfTheWeights) {
  WeightSums sums;
  double sum = 0, squares = 0;
  for (const double w : {0.5, 2.0, 0.125, 7.0}) {
    sums.add(std::log(w) - 2000);
    sum += w;
    squares += w * w;
  }
  EXPECT_NEAR(sums.ess(), sum * sum / squares, 1e-12);
  EXPECT_NEAR(sums.log_sum(), std::log(sum) - 2000, 1e-12);
  EXPECT_EQ(WeightSums{}.ess(), 0);
}

}  // namespace
}  // namespace twistor
