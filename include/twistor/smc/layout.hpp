// SPDX-License-Identifier: Apache-2.0
// Which rank hosts which particle. A particle's id says nothing about where it lives.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::smc {

/// Maps the global ids 0..K-1 to ranks 0..P-1. A value.
/// How many particles a rank hosts, its capacity, stays the same through a run; which ones, a Placement
/// decides.
class Layout {
 public:
  /// Rank r hosts the ids [K r / P, K (r+1) / P). K need not divide by P; ranks may be empty.
  [[nodiscard]] static Layout blocks(std::int64_t K, int n_ranks);
  /// The ids are cut into n_shards contiguous shards [K s / S, K (s+1) / S); rank r hosts the shards [S r /
  /// P, S (r+1) / P).
  [[nodiscard]] static Layout sharded(std::int64_t K, std::int64_t n_shards, int n_ranks);
  /// How many particles each rank hosts in that layout. // (P). Takes O(P).
  [[nodiscard]] static std::vector<std::int64_t> shard_sizes(std::int64_t K, std::int64_t n_shards,
                                                             int n_ranks);
  /// Any layout: id i lives on rank_of[i].
  Layout(std::vector<std::int32_t> rank_of, int n_ranks);

  [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(rank_of_.size()); }
  [[nodiscard]] int n_ranks() const noexcept { return static_cast<int>(size_of_.size()); }
  [[nodiscard]] int rank_of(std::int64_t id) const { return rank_of_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] std::int64_t size_of(int rank) const { return size_of_[static_cast<std::size_t>(rank)]; }
  /// (K) the host of every id.
  [[nodiscard]] std::span<const std::int32_t> ranks() const noexcept { return rank_of_; }
  /// The ids on one rank, in increasing order. Takes O(K).
  [[nodiscard]] std::vector<std::int64_t> ids_of(int rank) const;
  /// The same of several ranks, each named once, in one pass: O(K + P), however many they are.
  [[nodiscard]] std::vector<std::vector<std::int64_t>> ids_of(std::span<const int> ranks) const;
  friend bool operator==(const Layout&, const Layout&) = default;

 private:
  std::vector<std::int32_t> rank_of_;
  std::vector<std::int64_t> size_of_;
};

}  // namespace twistor::smc
