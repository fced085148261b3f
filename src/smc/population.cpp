// SPDX-License-Identifier: Apache-2.0
// Particle arrays and block names.
#include "twistor/smc/population.hpp"

#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"

namespace twistor::smc {

Population::Population(std::int64_t length, std::vector<std::int64_t> my_ids)
    : T(length),
      ids(std::move(my_ids)),
      node(ids.size(), 0),
      tokens(ids.size() * static_cast<std::size_t>(T), -1),
      log_p0(tokens.size()),
      log_q(tokens.size()),
      log_psi(tokens.size()),
      log_w(ids.size()) {}

void Population::grow(const Branches& drawn) {
  std::vector<Step> level(drawn.rows.size());
  for (std::size_t j = 0; j < level.size(); ++j)
    level[j] = {leaf[static_cast<std::size_t>(drawn.rows[j])], drawn.tokens.tokens[j], drawn.tokens.log_p0[j],
                drawn.tokens.log_q[j], drawn.tokens.log_psi[j]};
  history.grow(std::move(level));
}

void Population::follow(const Branches& drawn) {
  node = drawn.of;
  leaf.resize(drawn.rows.size());
  std::iota(leaf.begin(), leaf.end(), std::int64_t{0});
  cache->select(drawn.rows);
  has_scores = false;
}

void Population::write_out(const Branches& last) {
  parallel_for(size(), size() > 1024, [&](std::int64_t i) {
    history.walk_back(last.of[static_cast<std::size_t>(i)], [&](std::int64_t t, const Step& step) {
      const std::size_t to = at(i, t);
      tokens[to] = step.token;
      log_p0[to] = step.log_p0;
      log_q[to] = step.log_q;
      log_psi[to] = step.log_psi;
    });
  });
}

void Population::drop_childless_nodes() {
  std::vector<std::int64_t> kept, new_index(static_cast<std::size_t>(hidden.size(0)), -1), leaf_of_kept;
  for (std::int64_t& n : node) {
    std::int64_t& index = new_index[static_cast<std::size_t>(n)];
    if (index < 0) {
      index = static_cast<std::int64_t>(kept.size());
      kept.push_back(n);
      leaf_of_kept.push_back(leaf[static_cast<std::size_t>(n)]);
    }
    n = index;
  }
  cache->select(kept);
  hidden = select_rows(hidden, kept);
  leaf = std::move(leaf_of_kept);
  if (has_scores) scores.select(kept);
}

BlockNames::BlockNames(std::int64_t K, std::int64_t prompt_tokens)
    : K_(K), common_blocks_(prompt_tokens / model::block_tokens) {
  TWISTOR_ASSERT(K < std::numeric_limits<std::int32_t>::max(), "names of blocks need K < 2^31 - 1");
}

void BlockNames::resampled(std::span<const std::int64_t> ancestor_of_id) {
  std::size_t n_common = 0;  // a block that all have has blocks before it that all have
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    std::vector<std::int32_t>& level = levels_[l];
    scratch_.resize(level.size());
    const std::int32_t first = level[static_cast<std::size_t>(ancestor_of_id[0])];
    bool is_common = true;
    for (std::size_t i = 0; i < level.size(); ++i) {
      scratch_[i] = level[static_cast<std::size_t>(ancestor_of_id[i])];
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
    auto& level = levels_.emplace_back(static_cast<std::size_t>(K_));
    std::iota(level.begin(), level.end(), 0);
  }
}

std::vector<BlockNames::Shared> BlockNames::shared_with(std::span<const std::int64_t> particles,
                                                        std::span<const std::int64_t> holders) const {
  std::vector<Shared> out(particles.size(), Shared{common_blocks_, -1});
  // A block's name fixes all blocks before it, so levels are tried upwards until no particle finds its block
  // any more.
  std::unordered_map<std::int32_t, std::int64_t> holder_of;
  for (std::size_t l = 0; l < levels_.size(); ++l) {
    holder_of.clear();
    for (const std::int64_t id : holders) holder_of.try_emplace(levels_[l][static_cast<std::size_t>(id)], id);
    bool any = false;
    for (std::size_t i = 0; i < particles.size(); ++i) {
      const auto found = holder_of.find(levels_[l][static_cast<std::size_t>(particles[i])]);
      if (found == holder_of.end()) continue;
      out[i] = {common_blocks_ + static_cast<std::int64_t>(l) + 1, found->second};
      any = true;
    }
    if (!any) break;
  }
  return out;
}

}  // namespace twistor::smc
