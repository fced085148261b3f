// SPDX-License-Identifier: Apache-2.0
// Which blocks of the cache particles have in common, without looking at a cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::smc {

/// Names the full cache blocks of every particle of the population, so that a sender can be told which of
/// them the receiver already holds. It follows from the ancestors alone. 4 bytes a particle and level; levels
/// in which all particles have come to the same block are forgotten.
class BlockNames {
 public:
  /// Blocks that lie within the first `prompt_tokens` are everybody's. K < 2^31.
  BlockNames(std::int64_t K, std::int64_t prompt_tokens);
  /// To be told after every resampling. // (K)
  void resampled(std::span<const std::int64_t> ancestor_of_id);
  /// To be told when the cache has grown to `length` tokens; a block that became full gets its writer's id as
  /// name.
  void grown_to(std::int64_t length);
  /// For a particle: how many of its leading blocks some particle of `holders` has too, and which one (-1:
  /// only blocks that all particles have, the prompt's above all).
  struct Shared {
    std::int64_t n_blocks = 0;
    std::int64_t donor_id = -1;
    friend bool operator==(const Shared&, const Shared&) = default;
  };
  /// The first of `holders` where several have as many. Takes two steps in memory for each holder and level.
  [[nodiscard]] std::vector<Shared> shared_with(std::span<const std::int64_t> particles,
                                                std::span<const std::int64_t> holders);
  /// Levels that are kept.
  [[nodiscard]] std::int64_t n_levels() const { return static_cast<std::int64_t>(levels_.size()); }

 private:
  std::int64_t K_, common_blocks_;                 // the first of each particle, which are the same
  std::vector<std::vector<std::int32_t>> levels_;  // name of full block common_blocks_ + l of every particle
  std::vector<std::int32_t> scratch_;              // names to be, and after that nothing of worth
  std::vector<std::int32_t> holder_of_;            // (K) -1, but for the names of one level at a time
};

}  // namespace twistor::smc
