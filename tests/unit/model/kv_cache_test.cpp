// SPDX-License-Identifier: Apache-2.0
// A cache that knows what is to come has its memory made once.
#include "twistor/model/kv_cache.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/engines.hpp"

namespace twistor::model {
namespace {

TEST(KvCache, MakesRoomOnceForWhatItExpects) {
  const auto engine = test::engine_named("aten");
  // Blocks of 1 MiB. A prompt ends within one.
  KvCache prompt(*engine, {16, 8, 64, device::Precision::float32}, 1);
  prompt.reserve(13);
  prompt.advance(13);
  const auto capacity = [&] { return prompt.rows(0, 1, 0).store->capacity(); };
  const std::int64_t first = capacity();
  constexpr std::int64_t n = 15, length = 40;
  const auto fork = prompt.fork();
  fork->select(std::vector<std::int64_t>(n, 0));
  fork->expect(n, length);
  auto& cache = dynamic_cast<KvCache&>(*fork);
  for (std::int64_t t = 0; t < length; ++t) {
    cache.reserve(1);
    cache.advance(1);
    const std::int64_t now = capacity();
    EXPECT_TRUE(now == first || now == 1 + n * 4) << now;
  }
  // 53 tokens are four blocks of each, and the prompt has one of its own.
  EXPECT_EQ(cache.use().live_blocks, 1 + n * 4);
  EXPECT_EQ(capacity(), 1 + n * 4);
}

}  // namespace
}  // namespace twistor::model
