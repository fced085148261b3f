// SPDX-License-Identifier: Apache-2.0
// Names of cache blocks.
#include "twistor/smc/block_names.hpp"

#include <limits>
#include <numeric>

#include "at.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/cache.hpp"

namespace twistor::smc {

BlockNames::BlockNames(std::int64_t K, std::int64_t prompt_tokens)
    : K_(K), common_blocks_(prompt_tokens / model::block_tokens) {
  TWISTOR_ASSERT(K < std::numeric_limits<std::int32_t>::max(), "names of blocks need K < 2^31 - 1");
}

void BlockNames::resampled(std::span<const std::int64_t> ancestor_of_id) {
  std::size_t n_common = 0;  // a block that all have has blocks before it that all have
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    std::vector<std::int32_t>& level = levels_[l];
    scratch_.resize(level.size());
    const std::int32_t first = level[at(ancestor_of_id[0])];
    bool is_common = true;
    for (std::size_t i = 0; i < level.size(); ++i) {
      scratch_[i] = level[at(ancestor_of_id[i])];
      is_common &= scratch_[i] == first;
    }
    level.swap(scratch_);
    if (is_common && n_common == l) ++n_common;
  }
  levels_.erase(levels_.begin(), levels_.begin() + static_cast<std::ptrdiff_t>(n_common));
  common_blocks_ += static_cast<std::int64_t>(n_common);
}

void BlockNames::grown_to(std::int64_t length) {
  while (common_blocks_ + static_cast<std::int64_t>(levels_.size()) < length / model::block_tokens) {
    auto& level = levels_.emplace_back(at(K_));
    std::iota(level.begin(), level.end(), 0);
  }
}

std::vector<BlockNames::Shared> BlockNames::shared_with(std::span<const std::int64_t> particles,
                                                        std::span<const std::int64_t> holders) {
  std::vector<Shared> out(particles.size(), Shared{common_blocks_, -1});
  holder_of_.resize(levels_.empty() ? 0 : at(K_), -1);
  // A block's name fixes all blocks before it, so levels are tried upwards until no particle finds its block
  // any more.
  bool any = true;
  for (std::size_t l = 0; l < levels_.size() && any; ++l) {
    const std::vector<std::int32_t>& name_of = levels_[l];
    for (std::size_t h = holders.size(); h-- > 0;)  // so that the first of them stays
      holder_of_[at(name_of[at(holders[h])])] = static_cast<std::int32_t>(holders[h]);
    any = false;
    for (std::size_t i = 0; i < particles.size(); ++i) {
      const std::int32_t holder = holder_of_[at(name_of[at(particles[i])])];
      if (holder < 0) continue;
      out[i] = {common_blocks_ + static_cast<std::int64_t>(l) + 1, holder};
      any = true;
    }
    for (const std::int64_t holder : holders) holder_of_[at(name_of[at(holder)])] = -1;
  }
  return out;
}

}  // namespace twistor::smc
