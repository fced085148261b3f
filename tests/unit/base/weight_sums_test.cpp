// A weight that many particles share is added at once, to the bits of adding it for each.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace twistor
