// SPDX-License-Identifier: Apache-2.0
// Memory that was held once counts from then on.
#include "twistor/base/memory.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace twistor {
namespace {

TEST(PeakMemory, GrowsWithWhatIsTouchedAndStays) {
  constexpr std::int64_t held = 64 << 20;
  const std::int64_t before = peak_memory_bytes();
  EXPECT_GT(before, 1 << 20);
  {
    std::vector<char> bytes(static_cast<std::size_t>(before + held));  // more than all that was held before
    std::memset(bytes.data(), 1, bytes.size());
    EXPECT_EQ(bytes.back(), 1);
  }
  EXPECT_GE(peak_memory_bytes(), before + held);
}

}  // namespace
}  // namespace twistor
