// SPDX-License-Identifier: Apache-2.0
// The placement plan: two prefix sums, one over the surplus of the ranks and one over their room.
#include "twistor/smc/placement.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "at.hpp"
#include "twistor/base/error.hpp"

namespace twistor::smc {
namespace {

// The extra children (all but the first) of one ancestor that must leave its rank.
struct Leaving {
  std::int64_t ancestor;
  std::int64_t n_children;
  std::int64_t next = 0;  // where the next of them goes: its place in the list of destinations
};

struct Balance {
  std::vector<std::int32_t> n_extra;  // (K) children beyond the survivor
  std::vector<std::int64_t> surplus;  // (P) offspring_r - n_r; negative is room
};

Balance count(std::span<const std::int64_t> ancestor_of_id, const Layout& before) {
  const std::int64_t K = before.size();
  Balance b{std::vector<std::int32_t>(at(K), 0), std::vector<std::int64_t>(at(before.n_ranks()))};
  for (int r = 0; r < before.n_ranks(); ++r) b.surplus[at(r)] = -before.size_of(r);
  for (std::int64_t id = 0; id < K; ++id) {
    const std::int64_t a = ancestor_of_id[at(id)];
    TWISTOR_ASSERT(a >= 0 && a < K && ancestor_of_id[at(a)] == a, "a placement needs relabelled ancestors");
    b.n_extra[at(a)] += a != id;
    ++b.surplus[at(before.rank_of(a))];
  }
  return b;
}

// Stable counting sort; key(x) in 0..n_keys-1.
template <class Key>
std::vector<std::int64_t> sorted_by(const std::vector<std::int64_t>& items, std::int64_t n_keys, Key key) {
  std::vector<std::int64_t> begin(at(n_keys) + 1, 0), result(items.size());
  for (const std::int64_t x : items) ++begin[at(key(x)) + 1];
  for (std::int64_t k = 0; k < n_keys; ++k) begin[at(k) + 1] += begin[at(k)];
  for (const std::int64_t x : items) result[at(begin[at(key(x))]++)] = x;
  return result;
}

// Who leaves: in order of ranks, and on each rank from its largest families until its surplus is gone.
std::vector<Leaving> choose_leaving(const Balance& b, const Layout& before) {
  std::vector<std::int64_t> families;
  std::int32_t largest = 0;
  for (std::int64_t a = 0; a < before.size(); ++a) {
    if (b.n_extra[at(a)] == 0 || b.surplus[at(before.rank_of(a))] <= 0) continue;
    families.push_back(a);
    largest = std::max(largest, b.n_extra[at(a)]);
  }
  families = sorted_by(families, largest + 1, [&](std::int64_t a) { return largest - b.n_extra[at(a)]; });
  families = sorted_by(families, before.n_ranks(), [&](std::int64_t a) { return before.rank_of(a); });
  std::vector<std::int64_t> surplus = b.surplus;
  std::vector<Leaving> leaving;
  for (const std::int64_t a : families) {
    std::int64_t& left = surplus[at(before.rank_of(a))];
    const std::int64_t n = std::min<std::int64_t>(left, b.n_extra[at(a)]);
    if (n > 0) leaving.push_back({a, n});
    left -= n;
  }
  return leaving;
}

}  // namespace

std::span<const Copy> Placement::sends_of(int rank) const noexcept {
  const auto range = std::ranges::equal_range(copies, rank, {}, &Copy::from);
  return {range.begin(), range.end()};
}

std::span<const Copy> Placement::receives_of(int rank) const noexcept {
  const auto range = std::ranges::equal_range(copies, rank, {}, &Copy::to);
  return {range.begin(), range.end()};
}

Placement plan(std::span<const std::int64_t> ancestor_of_id, const Layout& before) {
  TWISTOR_ASSERT(static_cast<std::int64_t>(ancestor_of_id.size()) == before.size(),
                 "one ancestor per particle");
  TWISTOR_ASSERT(before.size() < std::numeric_limits<std::int32_t>::max(), "a placement needs K < 2^31 - 1");
  const Balance balance = count(ancestor_of_id, before);
  if (before.n_ranks() == 1) return {before, {}, 0};
  std::vector<Leaving> leaving = choose_leaving(balance, before);
  std::vector<Copy> copies;
  std::vector<std::int32_t> destinations;                          // of every leaving child, family by family
  std::vector<std::int32_t> family_of(ancestor_of_id.size(), -1);  // (K) index in `leaving`
  std::int32_t to = 0;
  std::int64_t room = -balance.surplus[0];
  for (std::size_t f = 0; f < leaving.size(); ++f) {
    const std::int64_t ancestor = leaving[f].ancestor;
    family_of[at(ancestor)] = static_cast<std::int32_t>(f);
    leaving[f].next = static_cast<std::int64_t>(destinations.size());
    for (std::int64_t left = leaving[f].n_children; left > 0;) {
      while (room <= 0) room = -balance.surplus[at(++to)];
      const std::int64_t n = std::min(left, room);
      copies.push_back({ancestor, before.rank_of(ancestor), to, n});
      destinations.insert(destinations.end(), at(n), to);
      left -= n;
      room -= n;
    }
  }

  std::vector<std::int32_t> rank_of(ancestor_of_id.size());
  for (std::int64_t id = 0; id < before.size(); ++id) {
    const std::int64_t a = ancestor_of_id[at(id)];
    rank_of[at(id)] = before.rank_of(a);
    const std::int32_t f = family_of[at(a)];
    if (f < 0 || a == id || leaving[at(f)].n_children == 0) continue;
    rank_of[at(id)] = destinations[at(leaving[at(f)].next++)];
    --leaving[at(f)].n_children;
  }
  return {Layout(std::move(rank_of), before.n_ranks()), std::move(copies),
          static_cast<std::int64_t>(destinations.size())};
}

}  // namespace twistor::smc
