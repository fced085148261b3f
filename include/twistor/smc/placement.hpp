// SPDX-License-Identifier: Apache-2.0
// After resampling: which rank hosts which offspring, and which ancestors have to travel for it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/smc/layout.hpp"

namespace twistor::smc {

/// One copy of an ancestor's state, sent from its host to another rank, for one or more children there.
struct Copy {
  std::int64_t ancestor;
  std::int32_t from;
  std::int32_t to;
  std::int64_t n_children;
  friend bool operator==(const Copy&, const Copy&) = default;
};

struct Placement {
  Layout after;  ///< where the new ids live; every rank hosts as many as before
  std::vector<Copy>
      copies;  ///< each (ancestor, destination) once; sorted by `from` and, at the same time, by `to`
  std::int64_t n_moved =
      0;  ///< children that do not live with their ancestor: sum_r max(0, offspring_r - n_r)

  /// The copies that a rank sends, in order of destination.
  [[nodiscard]] std::span<const Copy> sends_of(int rank) const noexcept;
  /// The copies that a rank receives, in order of source; those from one source in the order in which it
  /// sends them.
  [[nodiscard]] std::span<const Copy> receives_of(int rank) const noexcept;
};

/// Places the offspring. *Local*, pure. O(K + P).
///
/// ancestor_of_id, // (K) int64, must be relabelled: a particle with offspring is its own ancestor (see
/// relabel()). Survivors stay. Further offspring stay with their ancestor while there is room; what exceeds a
/// rank's capacity goes to ranks with room, the fewest children possible. A rank gives its largest families
/// away first and each to as few ranks as possible, so few ancestors travel; surplus and room are matched in
/// order of ranks, so at most P - 1 pairs of ranks talk.
[[nodiscard]] Placement plan(std::span<const std::int64_t> ancestor_of_id, const Layout& before);

}  // namespace twistor::smc
