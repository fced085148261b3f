// SPDX-License-Identifier: Apache-2.0
// The bound on a particle's memory holds in sweeps, and the notice says how many fit.
#include "twistor/smc/memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "twistor/model/load.hpp"

namespace twistor::smc {
namespace {

TEST(Memory, OfAParticleIsABound) {
  const auto lm = model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny");
  const std::vector<std::int64_t> prompt(13, 3);
  const model::Prefill start = model::prefill(*lm, prompt);
  // D 64, 2 layers of 4 heads: a block of 16 tokens has 2 * 2 * 16 * 64 numbers. V = 48 fills one block of
  // 256.
  const std::int64_t block_bytes = 4 * 2 * 2 * 16 * 64;
  for (const std::int64_t length : {1, 16, 17, 40}) {
    const ParticleBytes each = particle_bytes(*lm, start, length, 2, false);
    EXPECT_EQ(each.scores, 2 * 2 * 256 * 4);
    EXPECT_EQ(each.states, 2 * ((64 + 64) * 4 + 8));
    constexpr std::int64_t n = 20;
    const std::int64_t before = start.cache->use().live_bytes;  // of all that share the blocks
    const auto cache = start.fork(n);
    const std::vector<std::int64_t> tokens(n, 5);
    for (std::int64_t t = 0; t < length; ++t) (void)lm->forward(tokens, *cache);
    const std::int64_t own = cache->use().live_bytes - before;
    EXPECT_LE(own, n * each.cache);
    EXPECT_GE(own + n * block_bytes, n * each.cache) << "and not more than a block too many";
    EXPECT_EQ(particle_bytes(*lm, start, length, 2, true).cache, 2 * each.cache) << "where some arrive";
  }
}

TEST(Memory, NoticeSaysHowManyFit) {
  const ParticleBytes each{.cache = 600, .scores = 300, .states = 100};
  EXPECT_EQ(each.fitting(9999), 9);
  const MemoryNotice fits = memory_notice(each, 1'000'000, {2'000'000'000, 4'000'000'000});
  EXPECT_FALSE(fits.is_warning);
  EXPECT_THAT(fits.text,
              testing::HasSubstr("2.00 of 4.00 GB are free; 1000000 particles on this rank take 1.00 GB"));
  const MemoryNotice not_all = memory_notice(each, 3'000'000, {2'000'000'000, 4'000'000'000});
  EXPECT_TRUE(not_all.is_warning);
  EXPECT_THAT(not_all.text,
              testing::HasSubstr("2000000 surely fit, and 2857088 with smc.particles_at_once = 256"));
  const ParticleBytes in_parts = each.with_score_rows(1000);
  EXPECT_EQ(in_parts.of(10), 10 * 700 + 1000 * 150);
  EXPECT_EQ(in_parts.fitting(150'699), 0);
  EXPECT_EQ(in_parts.fitting(150'700), 1);
  EXPECT_EQ(in_parts.fitting(149'000), 0);
  EXPECT_THAT(memory_notice(in_parts, 3'000'000, {2'000'000'000, 4'000'000'000}).text,
              testing::EndsWith("2856928 surely fit"));
}

TEST(Memory, OfLearningLeavesRoomForFewer) {
  const ParticleBytes each{.cache = 600, .scores = 300, .states = 100};
  const MemoryNotice fits = learning_notice(each, 1'000'000, 50'000'000, {2'000'000'000, 4'000'000'000});
  EXPECT_FALSE(fits.is_warning);
  EXPECT_THAT(fits.text, testing::HasSubstr("another 0.60 GB, for the gradient and two moments of 50000000"));
  EXPECT_THAT(fits.text, testing::HasSubstr("1400000 particles surely fit"));
  EXPECT_TRUE(learning_notice(each, 1'500'000, 50'000'000, {2'000'000'000, 4'000'000'000}).is_warning);
  const MemoryNotice none = learning_notice(each, 1, 50'000'000, {100, 4'000'000'000});
  EXPECT_THAT(none.text, testing::HasSubstr("beside it 0 particles surely fit"));
}

TEST(Memory, OfTheMachineIsWarnedOfWhereParticlesMayNotFit) {
  const ParticleBytes each{.cache = 900, .scores = 1'000'000, .states = 100};  // scores come tile by tile
  EXPECT_EQ(main_memory_warning(each, 2'000'000, {2'000'000'000, 4'000'000'000}), "");
  const std::string warning = main_memory_warning(each, 3'000'000, {2'000'000'000, 4'000'000'000});
  EXPECT_THAT(warning,
              testing::HasSubstr("2.00 of 4.00 GB are free, and 3000000 particles take up to 3.00 GB"));
  EXPECT_THAT(warning, testing::HasSubstr("2000000 surely fit"));
}

}  // namespace
}  // namespace twistor::smc
