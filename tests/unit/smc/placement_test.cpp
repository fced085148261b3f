// SPDX-License-Identifier: Apache-2.0
// Layouts and placement plans: capacities, survivors, the fewest moves by brute force, few copies.
#include "twistor/smc/placement.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/smc/scheme.hpp"

namespace twistor::smc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

TEST(Layout, BlocksAreContiguousAndEven) {
  const Layout l = Layout::blocks(10, 4);  // cuts at 0, 2, 5, 7, 10
  EXPECT_THAT(l.ranks(), ElementsAre(0, 0, 1, 1, 1, 2, 2, 3, 3, 3));
  EXPECT_EQ(l.size_of(1), 3);
  EXPECT_THAT(l.ids_of(2), ElementsAre(5, 6));
  EXPECT_THAT(l.ids_of(std::array{2, 0}), ElementsAre(l.ids_of(2), l.ids_of(0)));
  EXPECT_THAT(l.ids_of(std::span<const int>()), IsEmpty());
  const Layout few = Layout::blocks(2, 5);
  EXPECT_EQ(few.size(), 2);
  EXPECT_EQ(few.n_ranks(), 5);
  EXPECT_THAT(few.ids_of(0), IsEmpty());
}

TEST(Layout, ShardsStayWhole) {
  // Shards of 13 ids: cuts at 0, 3, 6, 9, 13; 3 ranks own the shards [0, 1), [1, 2), [2, 4).
  const Layout l = Layout::sharded(13, 4, 3);
  EXPECT_THAT(l.ids_of(0), ElementsAre(0, 1, 2));
  EXPECT_THAT(l.ids_of(1), ElementsAre(3, 4, 5));
  EXPECT_EQ(l.size_of(2), 7);
  for (int P = 1; P <= 8; ++P) {  // whatever the ranks, a shard is never split
    const Layout of_p = Layout::sharded(1000, 8, P), shards = Layout::blocks(1000, 8);
    for (std::int64_t i = 1; i < 1000; ++i)
      EXPECT_TRUE(shards.rank_of(i) != shards.rank_of(i - 1) || of_p.rank_of(i) == of_p.rank_of(i - 1));
  }
}

TEST(Layout, RefusesUnknownRanks) {
  EXPECT_THROW(Layout({0, 2}, 2), Error);
  EXPECT_THROW(Layout({0, -1}, 2), Error);
  EXPECT_THROW((void)Layout::blocks(4, 0), Error);
}

// The fewest children that have to live away from their ancestor, over all assignments that keep survivors
// and sizes.
std::int64_t fewest_moves(const std::vector<std::int64_t>& ancestor_of_id, const Layout& before,
                          std::size_t id, std::vector<std::int64_t>& room) {
  if (id == ancestor_of_id.size()) return 0;
  const std::int64_t a = ancestor_of_id[id];
  std::int64_t best = std::numeric_limits<std::int64_t>::max() / 2;
  for (int r = 0; r < before.n_ranks(); ++r) {
    const bool may = room[at(r)] > 0 && (a != static_cast<std::int64_t>(id) || r == before.rank_of(a));
    if (!may) continue;
    --room[at(r)];
    best = std::min(best, (r != before.rank_of(a)) + fewest_moves(ancestor_of_id, before, id + 1, room));
    ++room[at(r)];
  }
  return best;
}

// Everything that any plan must satisfy.
void expect_sound(const std::vector<std::int64_t>& ancestor_of_id, const Layout& before, const Placement& p) {
  const std::int64_t K = before.size();
  std::int64_t minimum = 0, moved = 0;
  for (int r = 0; r < before.n_ranks(); ++r) {
    std::int64_t offspring = 0;
    for (const std::int64_t a : ancestor_of_id) offspring += before.rank_of(a) == r;
    minimum += std::max<std::int64_t>(0, offspring - before.size_of(r));
    EXPECT_EQ(p.after.size_of(r), before.size_of(r));
  }
  std::set<std::pair<std::int64_t, int>> needed, sent, talking;
  for (std::int64_t i = 0; i < K; ++i) {
    const std::int64_t a = ancestor_of_id[at(i)];
    if (a == i) {
      EXPECT_EQ(p.after.rank_of(i), before.rank_of(i));
    }
    if (p.after.rank_of(i) == before.rank_of(a)) continue;
    ++moved;
    needed.insert({a, p.after.rank_of(i)});
  }
  std::int64_t children = 0, n_sends = 0, n_receives = 0;
  for (const Copy& c : p.copies) {
    EXPECT_TRUE(sent.insert({c.ancestor, c.to}).second) << "an ancestor travels twice to one rank";
    EXPECT_EQ(c.from, before.rank_of(c.ancestor));
    children += c.n_children;
    talking.insert({c.from, c.to});
  }
  EXPECT_EQ(sent, needed);
  EXPECT_EQ(moved, minimum);
  EXPECT_EQ(p.n_moved, minimum);
  EXPECT_EQ(children, minimum);
  EXPECT_LE(static_cast<int>(talking.size()), std::max(0, before.n_ranks() - 1));
  EXPECT_TRUE(std::ranges::is_sorted(p.copies, {}, &Copy::from));
  EXPECT_TRUE(std::ranges::is_sorted(p.copies, {}, &Copy::to));
  for (int r = 0; r < before.n_ranks(); ++r) {
    for (const Copy& c : p.sends_of(r)) EXPECT_EQ(c.from, r);
    for (const Copy& c : p.receives_of(r)) EXPECT_EQ(c.to, r);
    n_sends += static_cast<std::int64_t>(p.sends_of(r).size());
    n_receives += static_cast<std::int64_t>(p.receives_of(r).size());
  }
  EXPECT_EQ(n_sends, static_cast<std::int64_t>(p.copies.size()));
  EXPECT_EQ(n_receives, static_cast<std::int64_t>(p.copies.size()));
}

std::vector<std::int64_t> random_ancestors(std::int64_t K, double spread, std::uint64_t seed) {
  std::vector<double> log_w(at(K));
  for (std::size_t i = 0; i < log_w.size(); ++i)
    log_w[i] = spread * Philox(seed, Stream::test, 1, i).normal();
  return resample(SchemeKind::multinomial, log_w, seed, 1).ancestor_of_id;
}

Layout random_layout(std::int64_t K, int P, std::uint64_t seed) {
  std::vector<std::int32_t> rank_of(at(K));
  for (std::size_t i = 0; i < rank_of.size(); ++i)
    rank_of[i] =
        static_cast<std::int32_t>(Philox(seed, Stream::test, 2, i).below(static_cast<std::uint64_t>(P)));
  return {rank_of, P};
}

TEST(Placement, MovesAsFewAsBruteForce) {
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const auto K = static_cast<std::int64_t>(4 + seed % 5);
    const int P = static_cast<int>(1 + seed % 4);
    const std::vector<std::int64_t> a = random_ancestors(K, 1.5, seed);
    const Layout before = random_layout(K, P, seed);
    const Placement p = plan(a, before);
    expect_sound(a, before, p);
    std::vector<std::int64_t> room;
    for (int r = 0; r < P; ++r) room.push_back(before.size_of(r));
    EXPECT_EQ(p.n_moved, fewest_moves(a, before, 0, room));
  }
}

TEST(Placement, StaysSoundThroughManyResamplings) {
  for (const int P : {1, 2, 3, 5, 8, 64}) {
    Layout layout = Layout::blocks(1000, P);
    for (std::uint64_t step = 0; step < 20; ++step) {
      const std::vector<std::int64_t> a = random_ancestors(1000, 0.2 + 0.2 * static_cast<double>(step), step);
      const Placement p = plan(a, layout);
      expect_sound(a, layout, p);
      EXPECT_EQ(plan(a, layout).after, p.after);
      layout = p.after;
    }
  }
}

TEST(Placement, NobodyMovesWithoutNeed) {
  const std::vector<std::int64_t> a{0, 0, 2, 2, 4, 4};  // two from each of three ranks
  const Placement p = plan(a, Layout::blocks(6, 3));
  EXPECT_EQ(p.after, Layout::blocks(6, 3));
  EXPECT_THAT(p.copies, IsEmpty());
}

TEST(Placement, OneParticleTakesAll) {
  const std::vector<std::int64_t> a(8, 5);  // lives on rank 2 of 4
  const Placement p = plan(a, Layout::blocks(8, 4));
  EXPECT_THAT(p.copies, ElementsAre(Copy{5, 2, 0, 2}, Copy{5, 2, 1, 2}, Copy{5, 2, 3, 2}));
  EXPECT_EQ(p.n_moved, 6);
}

// Rank 0 has 6 offspring too many. Its particle 3 alone has 6 further children, 0..2 have one each: one copy
// is enough.
TEST(Placement, LargestFamiliesLeaveFirst) {
  std::vector<std::int64_t> a{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};  // 9 a rank
  const std::vector<std::int64_t> freed{9, 10, 11, 12, 13, 14};
  for (const std::int64_t id : freed) a[at(id)] = 3;
  for (int i = 0; i < 3; ++i) a[at(6 + i)] = i;
  const Layout before = Layout::blocks(18, 2);
  const Placement p = plan(a, before);
  expect_sound(a, before, p);
  EXPECT_THAT(p.copies, ElementsAre(Copy{3, 0, 1, 6}));
}

TEST(Placement, RefusesAncestorsThatAreNotRelabelled) {
  EXPECT_THROW((void)plan(std::vector<std::int64_t>{1, 0}, Layout::blocks(2, 1)), Error);
  EXPECT_THROW((void)plan(std::vector<std::int64_t>{0, 2}, Layout::blocks(2, 1)), Error);
  EXPECT_THROW((void)plan(std::vector<std::int64_t>{0}, Layout::blocks(2, 1)), Error);
}

}  // namespace
}  // namespace twistor::smc
