// SPDX-License-Identifier: Apache-2.0
// Who holds which leaves of the fixed tree, and who adds what. Private to the comm room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Which rank holds which leaves.
class TreeLeaves {
 public:
  /// *Collective over comm.* `width` is any number on which all leaves must agree; -1 if this rank has no
  /// leaf.
  TreeLeaves(std::int64_t first, std::size_t count, std::int64_t n_shards, std::int64_t width,
             const Communicator& comm);

  [[nodiscard]] int owner(std::int64_t leaf) const {
    return static_cast<int>(std::upper_bound(begins_.begin(), begins_.end(), leaf) - begins_.begin()) - 1;
  }
  [[nodiscard]] bool has_any_of(std::int64_t a, std::int64_t b) const {
    return std::max(a, mine()) < std::min(b, begins_[static_cast<std::size_t>(rank_) + 1]);
  }
  /// Place of `leaf` among this rank's leaves.
  [[nodiscard]] std::size_t local(std::int64_t leaf) const { return static_cast<std::size_t>(leaf - mine()); }
  [[nodiscard]] int rank() const noexcept { return rank_; }

 private:
  [[nodiscard]] std::int64_t mine() const { return begins_[static_cast<std::size_t>(rank_)]; }

  std::vector<std::int64_t> begins_;  // of every rank, and the end
  int rank_;
};

inline std::int64_t tree_middle(std::int64_t a, std::int64_t b) {
  return a + (b - a + 1) / 2;
}

/// Visits this rank's nodes of [a, b), children before parents. The value of a node lives in the place of its
/// first leaf. All ranks visit their nodes in one common order, so messages cannot wait for each other in a
/// circle.
template <class Steps>
void visit_tree(const TreeLeaves& leaves, std::int64_t a, std::int64_t b, Steps& steps) {
  if (b - a < 2 || !leaves.has_any_of(a, b)) return;
  const std::int64_t middle = tree_middle(a, b);
  visit_tree(leaves, a, middle, steps);
  visit_tree(leaves, middle, b, steps);
  const int left = leaves.owner(a), right = leaves.owner(middle);
  if (left == leaves.rank() && right == leaves.rank()) {
    steps.add(leaves.local(a), leaves.local(middle));
  } else if (left == leaves.rank()) {
    steps.add_from(leaves.local(a), right);
  } else if (right == leaves.rank()) {
    steps.send_to(leaves.local(middle), left);
  }
}

}  // namespace twistor::comm
