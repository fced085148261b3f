// SPDX-License-Identifier: Apache-2.0
// Numbers in two places: whichever was changed last is right.
#include "twistor/twist/values.hpp"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>

#include <utility>

namespace twistor::twist {
namespace {

using testing::ElementsAre;

// The second place is another tensor in main memory: whether copies follow is the same question.
TEST(Values, OnADeviceFollowThoseInMainMemory) {
  Values x(std::vector<float>{1, 2, 3});
  EXPECT_EQ(x.on(at::kCPU)[1].item<float>(), 2);
  x[1] = 5;
  EXPECT_EQ(x.on(at::kCPU)[1].item<float>(), 5);
  x.replace(std::vector<float>{7, 8, 9});
  EXPECT_EQ(x.on(at::kCPU)[0].item<float>(), 7);
}

TEST(Values, InMainMemoryFollowThoseOnADevice) {
  Values x(std::vector<float>{1, 2, 3});
  x.change_on(at::kCPU).mul_(2);
  EXPECT_THAT(std::vector<float>(std::as_const(x).begin(), std::as_const(x).end()), ElementsAre(2, 4, 6));
  x.change_on(at::kCPU).add_(1);
  x[0] = 10;  // what the device has changed comes first
  EXPECT_THAT(std::vector<float>(x.begin(), x.end()), ElementsAre(10, 5, 7));
  EXPECT_EQ(x.on(at::kCPU)[0].item<float>(), 10);
}

TEST(Values, ReadingLeavesThoseOnTheDeviceWhereTheyAre) {
  Values x(std::vector<float>{1, 2});
  const at::Tensor changed = x.change_on(at::kCPU);
  changed.add_(1);
  EXPECT_EQ(std::as_const(x)[0], 2);
  EXPECT_TRUE(x.on(at::kCPU).is_same(changed)) << "and are not sent there again";
}

TEST(Values, TakeBothPlacesWithThem) {
  Values x(std::vector<float>{1, 2});
  x.change_on(at::kCPU).add_(1);
  const Values copy = x;
  Values moved = std::move(x);
  EXPECT_EQ(moved, copy);
  moved.change_on(at::kCPU).add_(1);
  EXPECT_EQ(std::as_const(moved)[1], 4);
  EXPECT_EQ(copy[1], 3) << "a copy is a process's own";
  x = std::move(moved);
  EXPECT_EQ(std::as_const(x)[0], 3);
}

TEST(Values, GivenAnewForgetWhatADeviceHas) {
  Values x(std::vector<float>{1, 2});
  x.change_on(at::kCPU).add_(1);
  x.replace(std::vector<float>{5, 6});
  EXPECT_EQ(std::as_const(x)[0], 5);
}

}  // namespace
}  // namespace twistor::twist
