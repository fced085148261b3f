// SPDX-License-Identifier: Apache-2.0
// Islands that resample by themselves.
#include "archipelago.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "at.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::smc {

void Archipelago::settle(std::span<const std::int32_t> island_of) {
  islands_.clear();
  std::map<std::int32_t, std::size_t> index_of;
  for (const std::int32_t number : island_of) index_of.try_emplace(number, 0);
  for (auto& [number, index] : index_of) {
    index = islands_.size();
    islands_.push_back({.number = number});
  }
  for (std::size_t i = 0; i < island_of.size(); ++i)
    islands_[index_of.at(island_of[i])].places.push_back(static_cast<std::int64_t>(i));
}

std::array<WeightSums, 2> Archipelago::add_up(std::span<const double> log_w) {
  std::array<WeightSums, 2> out{};
  for (Island& island : islands_) {
    island.sums = {};
    for (const std::int64_t place : island.places) island.sums.add(log_w[at(place)]);
    out[0].merge(island.sums);
    out[1].add(island.sums.log_sum());
  }
  return out;
}

Archipelago::Outcome Archipelago::resample(Population& p, std::int64_t& pinned_id,
                                           const SweepOptions& options, const Draw& draw) {
  Outcome out{.ancestor_ids = p.ids};
  const auto pinned = std::ranges::lower_bound(p.ids, pinned_id);
  const std::int64_t pinned_place =
      pinned_id >= 0 && pinned != p.ids.end() && *pinned == pinned_id ? pinned - p.ids.begin() : -1;
  for (const Island& island : islands_) {
    const auto n = static_cast<double>(island.places.size());
    const double log_sum = island.sums.log_sum();
    if (log_sum == log_zero) continue;
    if (options.trigger == Trigger::ess && island.sums.ess() >= options.ess_threshold * n) continue;
    std::vector<double> log_w;
    std::vector<Heritage> parents;
    for (const std::int64_t place : island.places) {
      parents.push_back(p.heritage(at(place)));
      log_w.push_back(parents.back().log_w);
    }
    const auto found = std::ranges::lower_bound(island.places, pinned_place);
    const bool has_pinned = pinned_place >= 0 && found != island.places.end() && *found == pinned_place;
    const Resampled next = draw(island.number, log_w, has_pinned ? found - island.places.begin() : -1);
    if (has_pinned) pinned_id = p.ids[at(island.places[at(next.pinned_id)])];
    const double log_mean = log_sum - std::log(n);
    for (std::size_t j = 0; j < island.places.size(); ++j) {
      const std::int64_t parent = next.ancestor_of_id[j];
      const std::size_t place = at(island.places[j]);
      p.inherit(place, parents[at(parent)]);
      p.log_w[place] = log_mean + next.log_correction(parent, log_w[at(parent)], log_sum);
      out.ancestor_ids[place] = p.ids[at(island.places[at(parent)])];
      out.n_childless += parent == static_cast<std::int64_t>(j) ? 0 : 1;
    }
    ++out.n_resampled;
  }
  return out;
}

}  // namespace twistor::smc
