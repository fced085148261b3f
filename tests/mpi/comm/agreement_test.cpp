// SPDX-License-Identifier: Apache-2.0
// Ranks that have read the same, and one that has not.
#include "twistor/comm/agreement.hpp"

#include <gtest/gtest.h>

#include <string>

namespace twistor::comm {
namespace {

TEST(Agreement, NobodyDiffersWhereAllTextsAreEqual) {
  EXPECT_EQ(first_that_differs("", Communicator::world()), -1);
  EXPECT_EQ(first_that_differs(std::string(100000, 'x'), Communicator::world()), -1);
}

TEST(Agreement, TheLowestRankThatDiffersIsNamedOnAllRanks) {
  const Communicator world = Communicator::world();
  for (int odd = 0; odd < world.size(); ++odd) {
    const std::string text = world.rank() == odd ? "learning_rate = 0.01" : "learning_rate = 0.001";
    // Where rank 0 is the odd one, all others differ from it.
    const int expected = odd > 0 ? odd : world.size() > 1 ? 1 : -1;
    EXPECT_EQ(first_that_differs(text, world), expected);
  }
  const int from = world.size() / 2;
  const std::string half = world.rank() >= from ? "new" : "old";
  EXPECT_EQ(first_that_differs(half, world), from == 0 ? -1 : from);
}

}  // namespace
}  // namespace twistor::comm
