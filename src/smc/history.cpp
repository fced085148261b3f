// SPDX-License-Identifier: Apache-2.0
// Paths through the tree of prefixes.
#include "twistor/smc/history.hpp"

#include "twistor/base/error.hpp"

namespace twistor::smc {

std::vector<Step> History::path(std::int64_t leaf) const {
  std::vector<Step> out(levels_.size());
  walk_back(leaf, [&](std::int64_t t, const Step& step) { out[static_cast<std::size_t>(t)] = step; });
  return out;
}

std::int64_t History::add(std::span<const Step> path) {
  TWISTOR_ASSERT(path.size() == levels_.size(), "a sequence of another length was added to a history");
  std::int64_t leaf = -1;
  for (std::size_t t = 0; t < path.size(); ++t) {
    Step step = path[t];
    step.parent = leaf;
    leaf = static_cast<std::int64_t>(levels_[t].size());
    levels_[t].push_back(step);
  }
  return leaf;
}

}  // namespace twistor::smc
