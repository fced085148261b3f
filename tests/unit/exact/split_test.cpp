// SPDX-License-Identifier: Apache-2.0
// Which exact samples measure and which are learned from.
#include <gtest/gtest.h>

#include "twistor/base/error.hpp"
#include "twistor/exact/source.hpp"

namespace twistor::exact {
namespace {

/// Samples of two tokens: (0, 100), (1, 101), ...
store::ExactSamples samples(std::int64_t n) {
  store::ExactSamples out;
  out.length = 2;
  for (std::int64_t i = 0; i < n; ++i) {
    out.tokens.values.insert(out.tokens.values.end(), {i, 100 + i});
    out.log_phi.push_back(0);
  }
  out.tokens.shape = {n, 2};
  return out;
}

std::vector<std::int64_t> first_tokens(const Source& source) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < source.n; ++i) {
    const std::vector<std::int64_t> s = source.sample(i);
    EXPECT_EQ(s.size(), 2u);
    EXPECT_EQ(s.at(1), s.at(0) + 100);
    out.push_back(s.at(0));
  }
  return out;
}

using Numbers = std::vector<std::int64_t>;

TEST(ExactSplit, EverySecondSampleIsLearnedFrom) {
  const store::ExactSamples five = samples(5);
  EXPECT_EQ(first_tokens(split(five, true).for_estimates), (Numbers{0, 2, 4}));
  EXPECT_EQ(first_tokens(split(five, true).for_learning), (Numbers{1, 3}));
}

TEST(ExactSplit, AllMeasureWhereNoneIsLearnedFrom) {
  const store::ExactSamples five = samples(5), one = samples(1), none = samples(0);
  EXPECT_EQ(first_tokens(split(five, false).for_estimates), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(split(five, false).for_learning.n, 0);
  EXPECT_EQ(first_tokens(split(one, false).for_estimates), (Numbers{0}));
  EXPECT_EQ(split(none, false).for_estimates.n, 0);
  EXPECT_EQ(split(none, true).for_estimates.n, 0);
}

TEST(ExactSplit, DigestsTellSamplesAndTheirOrder) {
  const store::ExactSamples five = samples(5);
  const Source all = split(five, false).for_estimates, odd = split(five, true).for_learning;
  EXPECT_EQ(digest(all, 5), digest(five));
  EXPECT_NE(digest(all, 4), digest(five));
  EXPECT_NE(digest(all, 2), digest(odd, 2));
  const Source turned{5, [&](std::int64_t i) { return all.sample(4 - i); }};
  EXPECT_NE(digest(turned, 5), digest(five));
}

TEST(ExactSplit, OneSampleCannotServeBoth) {
  const store::ExactSamples one = samples(1);
  EXPECT_THROW((void)split(one, true), Error);
}

}  // namespace
}  // namespace twistor::exact
