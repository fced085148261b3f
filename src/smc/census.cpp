// SPDX-License-Identifier: Apache-2.0
// What each rank is told at a resampling.
#include "twistor/smc/census.hpp"

#include <utility>

#include "at.hpp"
#include "byte_stream.hpp"
#include "twistor/base/error.hpp"

namespace twistor::smc {
namespace {

/// The place of every particle among those of its rank. // (K)
std::vector<std::int32_t> places_in(const Layout& layout) {
  std::vector<std::int32_t> places(at(layout.size())), next(at(layout.n_ranks()), 0);
  for (std::int64_t id = 0; id < layout.size(); ++id) places[at(id)] = next[at(layout.rank_of(id))]++;
  return places;
}

/// Of each copy, which blocks its destination has.
std::vector<BlockNames::Shared> shared_blocks(const Placement& placement, const Layout& before,
                                              BlockNames& names) {
  std::vector<int> destinations;
  for (const Copy& copy : placement.copies)
    if (destinations.empty() || destinations.back() != copy.to) destinations.push_back(copy.to);
  const std::vector<std::vector<std::int64_t>> holders = before.ids_of(destinations);
  std::vector<BlockNames::Shared> out;
  for (std::size_t d = 0; d < destinations.size(); ++d) {
    std::vector<std::int64_t> travellers;
    for (const Copy& copy : placement.receives_of(destinations[d])) travellers.push_back(copy.ancestor);
    const auto shared = names.shared_with(travellers, holders[d]);
    out.insert(out.end(), shared.begin(), shared.end());
  }
  return out;
}

Layout on_ranks(const Layout& islands, std::span<const std::int32_t> rank_of, int n_ranks) {
  std::vector<std::int32_t> ranks;
  ranks.reserve(at(islands.size()));
  for (const std::int32_t island : islands.ranks()) ranks.push_back(rank_of[at(island)]);
  return {std::move(ranks), n_ranks};
}

/// A placement on islands as one on the ranks that host them: a copy for several islands of a rank is one,
/// one for an island of its own rank none.
Placement on_ranks(const Placement& islands, std::span<const std::int32_t> rank_of, int n_ranks) {
  Placement out{on_ranks(islands.after, rank_of, n_ranks), {}, 0};
  for (const Copy& copy : islands.copies) {
    const std::int32_t from = rank_of[at(copy.from)], to = rank_of[at(copy.to)];
    if (from == to) continue;
    out.n_moved += copy.n_children;
    const bool is_known =
        !out.copies.empty() && out.copies.back().ancestor == copy.ancestor && out.copies.back().to == to;
    if (is_known)
      out.copies.back().n_children += copy.n_children;
    else
      out.copies.push_back({copy.ancestor, from, to, copy.n_children});
  }
  return out;
}

void tell_travels(const Placement& placement, std::span<const BlockNames::Shared> shared,
                  std::span<const std::int32_t> places, std::span<Assignment> told) {
  for (std::size_t c = 0; c < placement.copies.size(); ++c) {
    const Copy& copy = placement.copies[c];
    const std::int64_t donor = shared[c].donor_id, n = shared[c].n_blocks;
    told[at(copy.from)].sends.push_back({copy.to, places[at(copy.ancestor)], n});
    told[at(copy.to)].receives.push_back({copy.from, donor < 0 ? -1 : places[at(donor)], n});
  }
}

/// Children that leave their ancestor's rank do so in the order of its copies, as plan() has counted them.
class Departures {
 public:
  Departures(const Placement& placement, std::int64_t K)
      : copies_(placement.copies), copy_of_(copies_.empty() ? 0 : at(K), -1) {
    for (const Copy& copy : copies_) n_left_.push_back(copy.n_children);
    for (std::size_t c = copies_.size(); c-- > 0;)  // so that the first of an ancestor stays
      copy_of_[at(copies_[c].ancestor)] = static_cast<std::int32_t>(c);
    for (int r = 0; r < placement.after.n_ranks(); ++r)
      first_of_.push_back(placement.receives_of(r).data() - copies_.data());
  }
  /// How the next child of an ancestor gets to another rank: by which of the copies that arrive there.
  std::int32_t next(std::int64_t ancestor, int to) {
    std::int32_t& c = copy_of_[at(ancestor)];
    if (n_left_[at(c)] == 0) ++c;
    --n_left_[at(c)];
    TWISTOR_ASSERT(copies_[at(c)].ancestor == ancestor && copies_[at(c)].to == to,
                   "children leave as they were placed");
    return c - static_cast<std::int32_t>(first_of_[at(to)]);
  }

 private:
  std::span<const Copy> copies_;
  std::vector<std::int32_t> copy_of_;     // (K) of each ancestor that travels, the one in use
  std::vector<std::int64_t> n_left_;      // children of each copy
  std::vector<std::ptrdiff_t> first_of_;  // (P) the first copy that arrives at a rank
};

void tell_hosts(const Resampled& next, const Layout& before, const Placement& placement,
                std::span<const std::int32_t> places, std::span<Assignment> told) {
  for (std::size_t r = 0; r < told.size(); ++r) {
    const auto k = at(before.size_of(static_cast<int>(r)));
    told[r].ids.reserve(k);
    told[r].origins.reserve(k);
    told[r].weights.reserve(next.weights.empty() ? 0 : k);
  }
  Departures departures(placement, before.size());
  for (std::int64_t id = 0; id < before.size(); ++id) {
    const std::int64_t ancestor = next.ancestor_of_id[at(id)];
    const int host = placement.after.rank_of(id);
    Assignment& mine = told[at(host)];
    mine.ids.push_back(static_cast<std::int32_t>(id));
    mine.origins.push_back(before.rank_of(ancestor) == host ? places[at(ancestor)]
                                                            : ~departures.next(ancestor, host));
    if (!next.weights.empty()) mine.weights.push_back(next.weights[at(ancestor)]);
  }
}

}  // namespace

std::vector<std::byte> to_bytes(const Assignment& assignment) {
  ByteWriter out;
  for (const std::int64_t value : {assignment.n_survivors, assignment.pinned_id}) out.add_value(value);
  out.add_value(assignment.total);
  out.add_array(assignment.ids);
  out.add_array(assignment.origins);
  out.add_array(assignment.weights);
  out.add_array(assignment.islands);
  out.add_array(assignment.sends);
  out.add_array(assignment.receives);
  return out.take();
}

Assignment assignment_from(std::span<const std::byte> bytes) {
  Assignment out;
  ByteReader in(bytes);
  in.read(out.n_survivors);
  in.read(out.pinned_id);
  in.read(out.total);
  in.read(out.ids);
  in.read(out.origins);
  in.read(out.weights);
  in.read(out.islands);
  in.read(out.sends);
  in.read(out.receives);
  in.finish();
  return out;
}

Census::Census(Layout layout, std::int64_t prompt_tokens)
    : layout_(std::move(layout)), names_(layout_.size(), prompt_tokens) {}

Census Census::of_islands(Layout islands, std::vector<std::int32_t> rank_of, int n_ranks,
                          std::int64_t prompt_tokens) {
  TWISTOR_ASSERT(static_cast<int>(rank_of.size()) == islands.n_ranks(), "every island has its rank");
  Census out(on_ranks(islands, rank_of, n_ranks), prompt_tokens);
  out.islands_ = std::move(islands);
  out.rank_of_island_ = std::move(rank_of);
  return out;
}

std::vector<double> Census::by_id(std::vector<double> by_rank) const {
  TWISTOR_ASSERT(by_rank.size() == at(layout_.size()), "one value for each particle");
  if (layout_.n_ranks() == 1) return by_rank;
  std::vector<std::size_t> next(at(layout_.n_ranks()));
  for (std::size_t r = 1; r < next.size(); ++r)
    next[r] = next[r - 1] + at(layout_.size_of(static_cast<int>(r - 1)));
  std::vector<double> out(by_rank.size());
  for (std::int64_t id = 0; id < layout_.size(); ++id) out[at(id)] = by_rank[next[at(layout_.rank_of(id))]++];
  return out;
}

std::vector<Assignment> Census::resampled(const Resampled& next) {
  Placement placement = plan(next.ancestor_of_id, islands_ ? *islands_ : layout_);
  if (islands_) {
    islands_ = placement.after;
    placement = on_ranks(placement, rank_of_island_, layout_.n_ranks());
  }
  const std::vector<std::int32_t> places = places_in(layout_);
  std::int64_t n_survivors = 0;
  for (std::int64_t id = 0; id < layout_.size(); ++id)
    n_survivors += next.ancestor_of_id[at(id)] == id ? 1 : 0;
  std::vector<Assignment> told(at(layout_.n_ranks()));
  for (Assignment& one : told) {
    one.n_survivors = n_survivors;
    one.pinned_id = next.pinned_id;
    one.total = next.total;
  }
  tell_travels(placement, shared_blocks(placement, layout_, names_), places, told);
  tell_hosts(next, layout_, placement, places, told);
  if (islands_)
    for (std::int64_t id = 0; id < layout_.size(); ++id)
      told[at(placement.after.rank_of(id))].islands.push_back(islands_->rank_of(id));
  if (knows_names()) names_.resampled(next.ancestor_of_id);
  layout_ = std::move(placement.after);
  return told;
}

void Census::grown_to(std::int64_t length) {
  if (knows_names()) names_.grown_to(length);
}

}  // namespace twistor::smc
