// SPDX-License-Identifier: Apache-2.0
// Sums that do not depend on order: equal bits after any shuffling and grouping, values next to the exact
// ones.
#include "twistor/base/reproducible_sum.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/error_of.hpp"

namespace twistor {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<double> log_weights(std::size_t n) {
  std::mt19937 random(5);
  std::normal_distribution<double> normal(0, 40);  // up to e^160 apart: a plain sum depends on order
  std::vector<double> out(n);
  for (double& x : out) x = normal(random);
  return out;
}

template <class Sum>
Sum sum_of(const std::vector<double>& terms) {
  Sum sum;
  for (const double x : terms) sum.add(x);
  return sum;
}

TEST(LogSum, HasTheSameBitsInEveryOrderAndGrouping) {
  std::vector<double> terms = log_weights(1000);
  const auto expected = sum_of<LogSum>(terms);
  std::mt19937 random(6);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(terms.begin(), terms.end(), random);
    EXPECT_EQ(sum_of<LogSum>(terms), expected);
    const auto middle = terms.begin() + static_cast<std::ptrdiff_t>(random() % terms.size());
    auto left = sum_of<LogSum>({terms.begin(), middle});
    left.merge(sum_of<LogSum>({middle, terms.end()}));
    EXPECT_EQ(left, expected);
  }
}

TEST(LogSum, IsRightAtAnyScale) {
  for (const double shift : {-800.0, 0.0, 700.0}) {
    LogSum sum;
    for (int i = 1; i <= 4; ++i) sum.add(shift + std::log(i));
    EXPECT_NEAR(sum.log(), shift + std::log(10.0), 1e-12);
  }
  LogSum empty;
  empty.add(-infinity);
  EXPECT_EQ(empty.log(), -infinity);
}

TEST(LogSum, RefusesWhatIsNoWeight) {
  for (const double bad : {infinity, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_EQ(test::error_of([&] { LogSum().add(bad); }).kind(), ErrorKind::internal) << bad;
}

TEST(WeightSums, GiveTheEffectiveSampleSize) {
  EXPECT_NEAR(sum_of<WeightSums>({2.0, 2.0, 2.0, -infinity}).ess(), 3, 1e-12);
  EXPECT_NEAR(sum_of<WeightSums>({std::log(3.0), 0.0}).ess(), 1.6, 1e-12);
  EXPECT_EQ(WeightSums().ess(), 0);
}

TEST(FixedPointSum, HasTheSameBitsInEveryOrder) {
  std::vector<double> terms = {1e15, 1e-15, -1e15, 0.1, -0.3, 12345.678};
  const auto expected = sum_of<FixedPointSum>(terms);
  EXPECT_NEAR(expected.value(), 12345.478 + 1e-15, 1e-11);
  std::sort(terms.begin(), terms.end());
  do EXPECT_EQ(sum_of<FixedPointSum>(terms), expected);
  while (std::next_permutation(terms.begin(), terms.end()));
  for (const double bad : {infinity, std::numeric_limits<double>::quiet_NaN(), 1e30})
    EXPECT_THROW(FixedPointSum().add(bad), Error) << bad;
}

}  // namespace
}  // namespace twistor
