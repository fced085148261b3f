// SPDX-License-Identifier: Apache-2.0
// Names of cache blocks against a table that forgets nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/model/cache.hpp"
#include "twistor/smc/block_names.hpp"

namespace twistor::smc {
namespace {

using Ids = std::vector<std::int64_t>;

/// The name of every full block of every particle.
struct WholeTable {
  explicit WholeTable(std::size_t K) : blocks(K) {}
  void resampled(const Ids& ancestors) {
    std::vector<Ids> next;
    for (const std::int64_t a : ancestors) next.push_back(blocks[static_cast<std::size_t>(a)]);
    blocks = next;
  }
  void grow() {
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i].push_back(static_cast<std::int64_t>(i));
  }
  /// Leading blocks of `particle` that some holder has.
  [[nodiscard]] std::int64_t shared(std::int64_t particle, const Ids& holders) const {
    std::size_t best = 0;
    const Ids& mine = blocks[static_cast<std::size_t>(particle)];
    for (const std::int64_t holder : holders) {
      const Ids& other = blocks[static_cast<std::size_t>(holder)];
      std::size_t n = 0;
      while (n < mine.size() && mine[n] == other[n]) ++n;
      best = std::max(best, n);
    }
    return static_cast<std::int64_t>(best);
  }
  std::vector<Ids> blocks;
};

TEST(BlockNames, SayWhatAWholeTableSaysAndForgetWhatAllHave) {
  constexpr std::int64_t K = 12, prompt_blocks = 2;
  BlockNames names(K, prompt_blocks * model::block_tokens + 3);
  WholeTable whole(K);
  Philox random(9, Stream::test, 0, 0);
  std::int64_t n_forgotten = 0;
  for (std::int64_t step = 1; step <= 60; ++step) {
    Ids ancestors(K);  // survivors keep their places, so that few families remain
    for (std::int64_t i = 0; i < K; ++i)
      ancestors[static_cast<std::size_t>(i)] =
          static_cast<std::int64_t>(random.below(3)) == 0 ? i / 2 * 2 : i;
    names.resampled(ancestors);
    whole.resampled(ancestors);
    if (step % 20 == 0) {  // all from one
      names.resampled(Ids(K, 5));
      whole.resampled(Ids(K, 5));
      n_forgotten += names.n_levels() == 0 ? 1 : 0;
    }
    if (step % 4 == 0) {
      whole.grow();
      names.grown_to((prompt_blocks + step / 4) * model::block_tokens + 3);
    }
    const Ids particles{0, 1, 3, 4, 7, 11}, holders{2, 5, 6};
    const auto found = names.shared_with(particles, holders);
    for (std::size_t i = 0; i < particles.size(); ++i) {
      const std::int64_t expected = whole.shared(particles[i], holders);
      EXPECT_EQ(found[i].n_blocks, prompt_blocks + expected) << step;
      if (found[i].donor_id >= 0) {
        EXPECT_EQ(whole.shared(particles[i], {found[i].donor_id}), expected) << step;
      }
    }
  }
  EXPECT_EQ(n_forgotten, 3);
}

}  // namespace
}  // namespace twistor::smc
