// SPDX-License-Identifier: Apache-2.0
// Sums of weights, and what prefixes promise.
#include "weighing.hpp"

#include <algorithm>
#include <limits>

#include "at.hpp"

namespace twistor::smc {

WeightSums sum_of_weights(const Population& p) {
  struct Seen {
    double log_w = 0;
    std::int64_t n = 0;
  };
  std::vector<Seen> of_node(p.leaf.size());
  WeightSums sums;
  for (std::size_t i = 0; i < p.log_w.size(); ++i) {
    Seen& seen = of_node[at(p.node[i])];
    if (seen.n == 0) seen.log_w = p.log_w[i];
    if (seen.log_w == p.log_w[i])
      ++seen.n;
    else
      sums.add(p.log_w[i]);
  }
  for (const Seen& seen : of_node)
    if (seen.n > 0) sums.add(seen.log_w, seen.n);
  return sums;
}

std::vector<double> prefix_guides(const potential::Potential& potential, std::span<const std::int64_t> prompt,
                                  const Population& p, const model::EndRule& end, double weight) {
  constexpr double least = -60;  // a prefix without promise may go on well
  const std::int64_t depth = p.history.depth(), n = p.history.width();
  std::vector<std::int64_t> prefixes(at(n * depth));
  const auto prefix = [&](std::int64_t j) { return std::span(prefixes).subspan(at(j * depth), at(depth)); };
  for (std::int64_t j = 0; j < n; ++j)
    p.history.walk_back(j, [&](std::int64_t t, const Step& step) { prefix(j)[at(t)] = step.token; });
  if (n == 0) return {};
  std::vector<double> out = potential.log_phi_of_prefix({prompt, prefixes, depth});
  for (std::int64_t j = 0; j < n; ++j) {
    double& value = out[at(j)];
    value = end.has_ended(prefix(j), depth - 1) ? std::numeric_limits<double>::quiet_NaN()
                                                : std::max(least, weight * value);
  }
  return out;
}

}  // namespace twistor::smc
