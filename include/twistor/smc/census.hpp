// SPDX-License-Identifier: Apache-2.0
// The population as a whole, which one rank knows, and what it tells each at a resampling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "twistor/smc/block_names.hpp"
#include "twistor/smc/layout.hpp"
#include "twistor/smc/placement.hpp"
#include "twistor/smc/scheme.hpp"

namespace twistor::smc {

/// A copy of a particle's state on its way, as one of its two ends is told of it.
struct Travel {
  std::int32_t peer = 0;  ///< the rank at the other end
  /// Where it is sent: the particle's place. Where it arrives: the place of one that has its first blocks, -1
  /// if all have. Places are among a rank's particles before the resampling.
  std::int32_t place = -1;
  std::int64_t shared_blocks = 0;  ///< its leading blocks of the cache that the receiver has already
  friend bool operator==(const Travel&, const Travel&) = default;
};

/// What a rank is told at a resampling: whom it hosts from now on, and what it sends and receives for that.
struct Assignment {
  std::int64_t n_survivors = 0;         ///< particles with offspring, of the whole population
  std::int64_t pinned_id = -1;          ///< of the pinned path, wherever it lives; -1: none
  std::uint64_t total = 0;              ///< what the weights are parts of, as Resampled::total
  std::vector<std::int32_t> ids;        ///< (k) increasing
  std::vector<std::int32_t> origins;    ///< (k) the ancestor's place; ~j if it arrives as receives[j]
  std::vector<std::uint64_t> weights;   ///< (k) what the ancestor was drawn with; empty as Resampled::weights
  std::vector<std::int32_t> islands;    ///< (k) the particles'; empty if there are none
  std::vector<Travel> sends, receives;  ///< in order of peers; between two ranks in the same order at both
  friend bool operator==(const Assignment&, const Assignment&) = default;
};
[[nodiscard]] std::vector<std::byte> to_bytes(const Assignment& assignment);
/// Throws Error(peer) if these are not the bytes of one.
[[nodiscard]] Assignment assignment_from(std::span<const std::byte> bytes);

/// Knows where K particles live and which blocks of the cache they have. One rank keeps it for all: O(K)
/// memory and work, once and not on every rank. *Local.*
class Census {
 public:
  /// Blocks within the first `prompt_tokens` are everybody's.
  Census(Layout layout, std::int64_t prompt_tokens);
  /// Particles stay on islands of as many as before, and an island on its rank, whatever the number of ranks.
  /// What islands do by themselves the census is not told, so it knows of no common blocks but the prompt's.
  /// rank_of, // (I) increasing
  static Census of_islands(Layout islands, std::vector<std::int32_t> rank_of, int n_ranks,
                           std::int64_t prompt_tokens);

  [[nodiscard]] const Layout& layout() const { return layout_; }
  /// What all ranks have gathered, one value for each of their particles, in the order of ids. // (K)
  [[nodiscard]] std::vector<double> by_id(std::vector<double> by_rank) const;
  /// The population has been resampled: what each rank is told. // (P)
  [[nodiscard]] std::vector<Assignment> resampled(const Resampled& next);
  /// The caches have grown to `length` tokens, the prompt's among them.
  void grown_to(std::int64_t length);

 private:
  [[nodiscard]] bool knows_names() const { return layout_.n_ranks() > 1 && !islands_; }

  Layout layout_;
  BlockNames names_;
  std::optional<Layout> islands_;
  std::vector<std::int32_t> rank_of_island_;
};

}  // namespace twistor::smc
