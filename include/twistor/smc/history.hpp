// SPDX-License-Identifier: Apache-2.0
// What the particles of a rank have drawn so far, as a tree: each distinct prefix once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::smc {

/// One token of a sequence, with its normalised log-probabilities.
struct Step {
  std::int64_t parent = -1;  ///< entry of the level before; -1 at the first token
  std::int64_t token = -1;
  double log_p0 = 0, log_q = 0, log_psi = 0;
};

/// Level t holds one entry for each distinct s_{0..t}. Resampling changes who points where and copies
/// nothing, so a step costs what its distinct prefixes cost, not its particles. Entries that nobody points to
/// any more stay until the end of the sweep. A value; *local*.
class History {
 public:
  /// Tokens drawn so far.
  [[nodiscard]] std::int64_t depth() const { return static_cast<std::int64_t>(levels_.size()); }
  /// Entries of the last level.
  [[nodiscard]] std::int64_t width() const { return static_cast<std::int64_t>(levels_.back().size()); }
  /// An entry of the last level.
  [[nodiscard]] const Step& leaf(std::int64_t index) const {
    return levels_.back()[static_cast<std::size_t>(index)];
  }
  /// Adds a level. Parents are entries of the one before.
  void grow(std::vector<Step> level) { levels_.push_back(std::move(level)); }
  /// visit(t, step) from an entry of the last level back to the first token.
  template <class Visit>
  void walk_back(std::int64_t leaf, Visit visit) const {
    for (std::size_t t = levels_.size(); t-- > 0;) {
      const Step& step = levels_[t][static_cast<std::size_t>(leaf)];
      visit(static_cast<std::int64_t>(t), step);
      leaf = step.parent;
    }
  }
  /// From the first token to an entry of the last level, // (depth)
  [[nodiscard]] std::vector<Step> path(std::int64_t leaf) const;
  /// Adds a sequence that was drawn elsewhere, one step a level; parents are ignored. Returns its leaf.
  std::int64_t add(std::span<const Step> path);

 private:
  std::vector<std::vector<Step>> levels_;
};

}  // namespace twistor::smc
