// SPDX-License-Identifier: Apache-2.0
// The power of phi that annealing takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "twistor/learn/contrast.hpp"

namespace twistor::learn {
namespace {

/// Samples of p0 itself, of which log phi is 0, -1, -2, ...
class Annealing : public testing::Test {
 protected:
  static constexpr std::int64_t n = 64;
  Annealing() : samples(2, ids()), log_phi(n) {
    for (std::size_t i = 0; i < log_phi.size(); ++i) log_phi[i] = -static_cast<double>(i);
  }
  static std::vector<std::int64_t> ids() {
    std::vector<std::int64_t> out(n);
    std::iota(out.begin(), out.end(), 0);
    return out;
  }
  [[nodiscard]] double power(double least_ess) const {
    return annealed_power(samples, log_phi, least_ess, comm::Communicator::self());
  }
  [[nodiscard]] double ess(double b) const {
    double sum = 0, squares = 0;
    for (const double x : log_phi) {
      sum += std::exp(b * x);
      squares += std::exp(2 * b * x);
    }
    return sum * sum / squares;
  }
  smc::Population samples;
  std::vector<double> log_phi;
};

TEST_F(Annealing, IsTheLargestPowerThatGivesTheSampleSize) {
  for (const double least_ess : {3.0, 8.0, 20.0}) {
    const double b = power(least_ess);
    EXPECT_LT(b, 1);
    EXPECT_GE(ess(b), least_ess);
    EXPECT_LT(ess(b + 0.05), least_ess);
  }
}

TEST_F(Annealing, LeavesPhiAloneWhereTheSampleSizeIsThere) {
  EXPECT_EQ(power(1.5), 1);
}

TEST_F(Annealing, TakesTheLargestSampleSizeWhereNoneIsEnough) {
  EXPECT_EQ(power(1000), 0.05);
  std::fill(log_phi.begin() + 2, log_phi.end(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(power(8), 0.05);
  // Nothing is found: nothing to anneal either.
  std::fill(log_phi.begin(), log_phi.end(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(power(8), 1);
}

}  // namespace
}  // namespace twistor::learn
