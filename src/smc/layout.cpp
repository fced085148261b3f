// SPDX-License-Identifier: Apache-2.0
// Which rank hosts which particle.
#include "twistor/smc/layout.hpp"

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/wide_int.hpp"

namespace twistor::smc {
namespace {

// floor(n i / parts): where part i of n items begins.
std::int64_t cut(std::int64_t n, std::int64_t i, std::int64_t parts) noexcept {
  return static_cast<std::int64_t>(static_cast<Int128>(n) * i / parts);
}

}  // namespace

Layout::Layout(std::vector<std::int32_t> rank_of, int n_ranks) : rank_of_(std::move(rank_of)) {
  TWISTOR_ASSERT(n_ranks >= 1, "a layout needs at least one rank");
  size_of_.resize(static_cast<std::size_t>(n_ranks), 0);
  for (const std::int32_t r : rank_of_) {
    TWISTOR_ASSERT(r >= 0 && r < n_ranks, "a layout names a rank that does not exist");
    ++size_of_[static_cast<std::size_t>(r)];
  }
}

Layout Layout::blocks(std::int64_t K, int n_ranks) {
  return sharded(K, n_ranks, n_ranks);
}

std::vector<std::int64_t> Layout::shard_sizes(std::int64_t K, std::int64_t n_shards, int n_ranks) {
  TWISTOR_ASSERT(K >= 0 && n_shards >= 1 && n_ranks >= 1, "a layout needs K >= 0, shards and ranks");
  std::vector<std::int64_t> sizes;
  for (int r = 0; r < n_ranks; ++r)
    sizes.push_back(cut(K, cut(n_shards, r + 1, n_ranks), n_shards) -
                    cut(K, cut(n_shards, r, n_ranks), n_shards));
  return sizes;
}

Layout Layout::sharded(std::int64_t K, std::int64_t n_shards, int n_ranks) {
  std::vector<std::int32_t> rank_of;
  rank_of.reserve(static_cast<std::size_t>(K));
  const std::vector<std::int64_t> sizes = shard_sizes(K, n_shards, n_ranks);
  for (int r = 0; r < n_ranks; ++r)
    rank_of.insert(rank_of.end(), static_cast<std::size_t>(sizes[static_cast<std::size_t>(r)]), r);
  return {std::move(rank_of), n_ranks};
}

std::vector<std::int64_t> Layout::ids_of(int rank) const {
  std::vector<std::int64_t> ids;
  ids.reserve(static_cast<std::size_t>(size_of(rank)));
  for (std::size_t i = 0; i < rank_of_.size(); ++i)
    if (rank_of_[i] == rank) ids.push_back(static_cast<std::int64_t>(i));
  return ids;
}

std::vector<std::vector<std::int64_t>> Layout::ids_of(std::span<const int> ranks) const {
  std::vector<std::vector<std::int64_t>> ids(ranks.size());
  std::vector<std::int32_t> place_of(size_of_.size(), -1);  // of a rank among those that are asked for
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    std::int32_t& place = place_of[static_cast<std::size_t>(ranks[i])];
    TWISTOR_ASSERT(place < 0, "each rank is named once");
    place = static_cast<std::int32_t>(i);
    ids[i].reserve(static_cast<std::size_t>(size_of(ranks[i])));
  }
  for (std::size_t i = 0; i < rank_of_.size(); ++i)
    if (const std::int32_t place = place_of[static_cast<std::size_t>(rank_of_[i])]; place >= 0)
      ids[static_cast<std::size_t>(place)].push_back(static_cast<std::int64_t>(i));
  return ids;
}

}  // namespace twistor::smc
