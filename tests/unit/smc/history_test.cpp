// SPDX-License-Identifier: Apache-2.0
// The tree of prefixes against whole sequences.
#include "twistor/smc/history.hpp"

#include <gtest/gtest.h>

namespace twistor::smc {
namespace {

std::vector<std::int64_t> tokens_of(const std::vector<Step>& path) {
  std::vector<std::int64_t> out;
  for (const Step& step : path) out.push_back(step.token);
  return out;
}

TEST(History, PathsFollowTheirParents) {
  History history;
  history.grow({{-1, 5, 0.1, 0.2, 0.3}, {-1, 6, 0, 0, 0}});
  history.grow({{1, 7, 0, 0, 0}, {0, 8, 0, 0, 0}, {1, 9, 0, 0, 0}});
  EXPECT_EQ(history.depth(), 2);
  EXPECT_EQ(tokens_of(history.path(0)), (std::vector<std::int64_t>{6, 7}));
  EXPECT_EQ(tokens_of(history.path(1)), (std::vector<std::int64_t>{5, 8}));
  EXPECT_EQ(history.path(1)[0].log_psi, 0.3);
  EXPECT_EQ(history.leaf(2).token, 9);
}

TEST(History, TakesInSequencesOfOtherRanks) {
  History here, there;
  for (History* h : {&here, &there}) {
    h->grow({{-1, 1, 0, 0, 0}, {-1, 2, 0, 0, 0}});
    h->grow({{1, 3, 0, 0, 0}});
  }
  there.grow({{0, 4, -1, -2, -3}});
  here.grow({{0, 5, 0, 0, 0}});
  const std::int64_t leaf = here.add(there.path(0));
  EXPECT_EQ(leaf, 1);
  EXPECT_EQ(tokens_of(here.path(leaf)), (std::vector<std::int64_t>{2, 3, 4}));
  EXPECT_EQ(here.leaf(leaf).log_q, -2);
  EXPECT_EQ(tokens_of(here.path(0)), (std::vector<std::int64_t>{2, 3, 5})) << "what was there stays";
}

TEST(History, IsEmptyBeforeTheFirstToken) {
  const History history;
  EXPECT_EQ(history.depth(), 0);
  EXPECT_TRUE(history.path(-1).empty());
}

}  // namespace
}  // namespace twistor::smc
