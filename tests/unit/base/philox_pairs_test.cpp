// SPDX-License-Identifier: Apache-2.0
// philox_pairs and philox_uniforms must draw exactly what Philox objects draw one by one.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "twistor/base/philox.hpp"

namespace twistor {
namespace {

TEST(PhiloxPairs, EqualsOneObjectPerId) {
  for (const std::uint64_t first_id :
       {std::uint64_t{0}, std::uint64_t{0xFFFFFFF0u}, (std::uint64_t{1} << 48) - 37}) {
    std::vector<std::uint64_t> first(37), second(37);
    philox_pairs(0x123456789ABCDEF0u, Stream::resampling, 0xFEDCBA98u, first_id, first, second);
    for (std::size_t i = 0; i < first.size(); ++i) {
      Philox one(0x123456789ABCDEF0u, Stream::resampling, 0xFEDCBA98u, first_id + i);
      EXPECT_EQ(first[i], one.next_u64());
      EXPECT_EQ(second[i], one.next_u64());
    }
  }
}

TEST(PhiloxUniforms, EqualsOneObjectPerId) {
  const std::vector<std::int64_t> ids{0, 7, 3, 3, 0xFFFFFFFF, (std::int64_t{1} << 48) - 1, 12, 13, 14, 15, 1};
  std::vector<double> out(ids.size());
  philox_uniforms(77, Stream::tokens, 5, ids, out);
  for (std::size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(out[i], Philox(77, Stream::tokens, 5, static_cast<std::uint64_t>(ids[i])).uniform());
}

}  // namespace
}  // namespace twistor
