// SPDX-License-Identifier: Apache-2.0
// Few symbols are searched through, many go through a heap.
#include "merge_table.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <tuple>

namespace twistor::text {
namespace {

// Up to here searching all pairs for the best one is faster than a heap.
constexpr std::size_t few = 48;
constexpr std::int32_t no_rank = std::numeric_limits<std::int32_t>::max();

// For each symbol the first symbols that it may begin (or end) with.
using Edges = std::vector<std::vector<Symbol>>;

void unite(std::vector<Symbol>& into, const std::vector<Symbol>& from) {
  for (const Symbol symbol : from)
    if (std::find(into.begin(), into.end(), symbol) == into.end()) into.push_back(symbol);
}

}  // namespace

void MergeTable::add(Symbol left, Symbol right, Symbol merged, std::int32_t rank, std::size_t size) {
  merges_.set(left, right, {rank, merged});
  rules_.push_back({left, right, merged, size});
}

void MergeTable::learn_cuts(const std::vector<bool>& may_stand_first) {
  // Smaller symbols first, so that both halves are known when their merge comes.
  std::stable_sort(rules_.begin(), rules_.end(),
                   [](const Rule& a, const Rule& b) { return a.size < b.size; });
  Edges begins(may_stand_first.size());
  Edges ends(may_stand_first.size());
  for (std::size_t i = 0; i < may_stand_first.size(); ++i)
    if (may_stand_first[i]) begins[i] = ends[i] = {static_cast<Symbol>(i)};
  const auto at = [](Edges& edges, Symbol symbol) -> std::vector<Symbol>& {
    return edges[static_cast<std::size_t>(symbol)];
  };
  for (const Rule& rule : rules_) {
    unite(at(begins, rule.merged), at(begins, rule.left));
    unite(at(ends, rule.merged), at(ends, rule.right));
    for (const Symbol left : at(ends, rule.left))
      for (const Symbol right : at(begins, rule.right)) joints_.set(left, right, 1);
  }
  rules_ = {};
  has_cuts_ = true;
}

std::size_t MergeTable::apply(std::span<Symbol> symbols) const {
  if (symbols.size() <= few) return merge_few(symbols);
  if (!has_cuts_) return merge_many(symbols);
  std::size_t kept = 0;
  for (std::size_t begin = 0; begin < symbols.size();) {
    std::size_t end = begin + 1;
    while (end < symbols.size() && joints_.find(symbols[end - 1], symbols[end]) != nullptr) ++end;
    const std::span<Symbol> part = symbols.subspan(begin, end - begin);
    const std::size_t n = part.size() <= few ? merge_few(part) : merge_many(part);
    std::copy_n(part.begin(), n, symbols.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += n;
    begin = end;
  }
  return kept;
}

std::size_t MergeTable::merge_few(std::span<Symbol> symbols) const {
  std::size_t n = symbols.size();
  std::array<Merge, few> pairs;  // of symbols i and i + 1
  const auto look_up = [&](std::size_t i) {
    const Merge* merge = merges_.find(symbols[i], symbols[i + 1]);
    pairs[i] = merge == nullptr ? Merge{no_rank, 0} : *merge;
  };
  for (std::size_t i = 0; i + 1 < n; ++i) look_up(i);
  while (n > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].rank == no_rank) break;
    symbols[best] = pairs[best].merged;
    --n;
    for (std::size_t i = best + 1; i < n; ++i) symbols[i] = symbols[i + 1];
    for (std::size_t i = best + 1; i + 1 < n; ++i) pairs[i] = pairs[i + 1];
    if (best > 0) look_up(best - 1);
    if (best + 1 < n) look_up(best);
  }
  return n;
}

// A doubly linked list in an array: merging keeps the left symbol and unlinks the right one. Every merge
// removes one symbol and adds at most two candidates.
std::size_t MergeTable::merge_many(std::span<Symbol> symbols) const {
  struct Node {
    Symbol symbol;
    std::ptrdiff_t previous, next;
  };
  // Stale once either symbol has changed.
  struct Candidate {
    std::int32_t rank;
    Symbol left, right, merged;
    std::ptrdiff_t place;
    // std::priority_queue puts the largest on top.
    bool operator<(const Candidate& other) const {
      return std::tie(rank, place) > std::tie(other.rank, other.place);
    }
  };
  constexpr Symbol gone = -1;
  const std::ptrdiff_t n = std::ssize(symbols);
  std::vector<Node> nodes(symbols.size());
  const auto node = [&](std::ptrdiff_t i) -> Node& { return nodes[static_cast<std::size_t>(i)]; };
  for (std::ptrdiff_t i = 0; i < n; ++i)
    node(i) = {symbols[static_cast<std::size_t>(i)], i - 1, i + 1 < n ? i + 1 : -1};
  std::priority_queue<Candidate> candidates;
  const auto consider = [&](std::ptrdiff_t place) {
    if (place < 0 || node(place).next < 0) return;
    const Symbol left = node(place).symbol;
    const Symbol right = node(node(place).next).symbol;
    if (const Merge* merge = merges_.find(left, right))
      candidates.push({merge->rank, left, right, merge->merged, place});
  };
  for (std::ptrdiff_t i = 0; i < n; ++i) consider(i);
  while (!candidates.empty()) {
    const Candidate best = candidates.top();
    candidates.pop();
    Node& left = node(best.place);
    if (left.symbol != best.left || left.next < 0) continue;
    Node& right = node(left.next);
    if (right.symbol != best.right) continue;
    left.symbol = best.merged;
    left.next = right.next;
    right.symbol = gone;
    if (left.next >= 0) node(left.next).previous = best.place;
    consider(left.previous);
    consider(best.place);
  }
  std::size_t kept = 0;
  for (std::ptrdiff_t i = 0; i >= 0; i = node(i).next) symbols[kept++] = node(i).symbol;
  return kept;
}

}  // namespace twistor::text
