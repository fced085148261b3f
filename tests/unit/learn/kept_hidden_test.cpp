// SPDX-License-Identifier: Apache-2.0
// What is kept, and what makes room.
#include "twistor/learn/kept_hidden.hpp"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>

namespace twistor::learn {
namespace {

at::Tensor of_bytes(std::int64_t n, int value) {
  return at::full({n / 4}, value, at::kFloat);
}

TEST(KeptHidden, ThoseUsedLongestAgoMakeRoom) {
  KeptHidden kept(300);
  for (const std::int64_t number : {0, 1, 2}) kept.put(number, of_bytes(100, static_cast<int>(number)));
  EXPECT_EQ(kept.bytes(), 300);
  EXPECT_TRUE(kept.find(0).defined());  // so 1 is the one to go
  kept.put(3, of_bytes(100, 3));
  EXPECT_EQ(kept.bytes(), 300);
  EXPECT_FALSE(kept.find(1).defined());
  for (const std::int64_t number : {0, 2, 3})
    EXPECT_TRUE(kept.find(number).equal(of_bytes(100, static_cast<int>(number)))) << number;
  kept.put(4, of_bytes(200, 4));  // takes two places: 0 and 2 were found before 3
  EXPECT_EQ(kept.size(), 2);
  EXPECT_TRUE(kept.find(3).defined());
}

TEST(KeptHidden, NeverKeepsMoreThanItsBudget) {
  KeptHidden kept(300);
  kept.put(7, of_bytes(400, 1));
  EXPECT_EQ(kept.bytes(), 0);
  EXPECT_FALSE(kept.find(7).defined());
}

TEST(KeptHidden, ForgetsWhatAnEarlierModelGave) {
  KeptHidden kept(300);
  kept.put(0, of_bytes(100, 1));
  kept.require_revision(0);
  EXPECT_EQ(kept.size(), 1);
  kept.require_revision(1);
  EXPECT_EQ(kept.size(), 0);
  EXPECT_EQ(kept.bytes(), 0);
  EXPECT_FALSE(kept.find(0).defined());
}

}  // namespace
}  // namespace twistor::learn
