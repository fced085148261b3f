// SPDX-License-Identifier: Apache-2.0
// What ranks are told, against the ancestors: who does as told has every child where its ancestor's state is.
#include "twistor/smc/census.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/cache.hpp"

namespace twistor::smc {
namespace {

using Ids = std::vector<std::int64_t>;

constexpr std::int64_t K = 53, prompt_tokens = model::block_tokens + 3;

/// Few families, so that many children leave.
Resampled drawn(std::uint32_t step) {
  std::vector<double> log_w;
  for (std::size_t i = 0; i < K; ++i) log_w.push_back(2 * Philox(5, Stream::test, step, i).normal());
  return resample(SchemeKind::multinomial, log_w, 9, step);
}

/// Ranks that do as they are told; a particle is nothing but the id of what it was, and its full blocks.
struct Followers {
  struct Particle {
    std::int64_t id = 0;
    Ids blocks;
  };
  std::vector<std::vector<Particle>> ranks;

  explicit Followers(const Layout& layout) {
    for (int r = 0; r < layout.n_ranks(); ++r) {
      ranks.emplace_back();
      for (const std::int64_t id : layout.ids_of(r)) ranks.back().push_back({id, {}});
    }
  }
  void grow() {
    for (auto& rank : ranks)
      for (Particle& particle : rank) particle.blocks.push_back(particle.id);
  }
  /// What arrives at each rank, in the order in which it is told of it.
  [[nodiscard]] std::vector<std::vector<Particle>> sent(const std::vector<Assignment>& told) const {
    std::vector<std::vector<Particle>> arrived(ranks.size());
    std::map<std::pair<std::size_t, std::size_t>, std::vector<const Travel*>> expected;
    for (std::size_t r = 0; r < told.size(); ++r)
      for (const Travel& travel : told[r].receives)
        expected[{static_cast<std::size_t>(travel.peer), r}].push_back(&travel);
    for (std::size_t from = 0; from < told.size(); ++from) {
      EXPECT_TRUE(std::ranges::is_sorted(told[from].sends, {}, &Travel::peer));
      EXPECT_TRUE(std::ranges::is_sorted(told[from].receives, {}, &Travel::peer));
      std::map<std::int32_t, std::size_t> next;
      for (const Travel& travel : told[from].sends) {
        const auto to = static_cast<std::size_t>(travel.peer);
        const Particle& particle = ranks[from][static_cast<std::size_t>(travel.place)];
        const Travel& other = *expected.at({from, to}).at(next[travel.peer]++);
        EXPECT_EQ(other.shared_blocks, travel.shared_blocks);
        const std::int64_t n_named = travel.shared_blocks - prompt_tokens / model::block_tokens;
        for (std::int64_t b = 0; b < n_named && other.place >= 0; ++b)
          EXPECT_EQ(ranks[to][static_cast<std::size_t>(other.place)].blocks[static_cast<std::size_t>(b)],
                    particle.blocks[static_cast<std::size_t>(b)])
              << "the receiver lacks a block";
        arrived[to].push_back(particle);  // senders in order, as receivers expect them
      }
      for (const auto& [peer, n] : next)
        EXPECT_EQ(expected.at({from, static_cast<std::size_t>(peer)}).size(), n);
    }
    for (std::size_t r = 0; r < told.size(); ++r) EXPECT_EQ(arrived[r].size(), told[r].receives.size());
    return arrived;
  }
  void follow(const std::vector<Assignment>& told, const Resampled& next) {
    const auto arrived = sent(told);
    std::vector<std::vector<Particle>> after(ranks.size());
    std::set<std::int64_t> seen;
    for (std::size_t r = 0; r < told.size(); ++r) {
      EXPECT_EQ(told[r].ids.size(), ranks[r].size()) << "a rank hosts as many as before";
      EXPECT_TRUE(std::ranges::is_sorted(told[r].ids));
      for (std::size_t i = 0; i < told[r].ids.size(); ++i) {
        const std::int32_t origin = told[r].origins[i];
        const Particle& parent = origin >= 0 ? ranks[r][static_cast<std::size_t>(origin)]
                                             : arrived[r].at(static_cast<std::size_t>(~origin));
        const std::int64_t id = told[r].ids[i];
        const std::int64_t ancestor = next.ancestor_of_id[static_cast<std::size_t>(id)];
        EXPECT_EQ(parent.id, ancestor);
        EXPECT_EQ(told[r].weights[i], next.weights[static_cast<std::size_t>(ancestor)]);
        after[r].push_back({id, parent.blocks});
        seen.insert(id);
      }
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(K));
    ranks = std::move(after);
  }
};

TEST(Census, TellsRanksWhatMakesEveryChildFromItsAncestor) {
  std::int64_t n_travels = 0, n_donors = 0;
  for (const int P : {1, 2, 3, 7, 60}) {  // at last some ranks without particles
    Census census(Layout::blocks(K, P), prompt_tokens);
    Followers ranks(census.layout());
    for (std::uint32_t step = 1; step <= 12; ++step) {
      const Resampled next = drawn(step);
      const std::vector<Assignment> told = census.resampled(next);
      ASSERT_EQ(told.size(), static_cast<std::size_t>(P));
      ranks.follow(told, next);
      const std::set<std::int64_t> survivors(next.ancestor_of_id.begin(), next.ancestor_of_id.end());
      for (const Assignment& one : told) {
        EXPECT_EQ(one.n_survivors, std::ssize(survivors));
        EXPECT_EQ(one.total, next.total);
        EXPECT_EQ(one.pinned_id, -1);
        EXPECT_EQ(assignment_from(to_bytes(one)), one);
        n_travels += std::ssize(one.receives);
        n_donors += std::ranges::count_if(one.receives, [](const Travel& t) { return t.place >= 0; });
      }
      for (int r = 0; r < P; ++r) {
        Ids ids;
        for (const auto& particle : ranks.ranks[static_cast<std::size_t>(r)]) ids.push_back(particle.id);
        EXPECT_EQ(ids, census.layout().ids_of(r));
      }
      if (step % 3 == 0) {
        ranks.grow();
        census.grown_to(prompt_tokens + step / 3 * model::block_tokens);
      }
    }
  }
  EXPECT_GT(n_travels, 100) << "the test would show nothing";
  EXPECT_GT(n_donors, 20) << "the test would show nothing";
}

TEST(Census, PutsValuesInTheOrderOfIds) {
  Census census(Layout::blocks(K, 3), prompt_tokens);
  for (std::uint32_t step = 1; step <= 3; ++step) (void)census.resampled(drawn(step));
  std::vector<double> by_rank, by_id(static_cast<std::size_t>(K));
  std::iota(by_id.begin(), by_id.end(), 0.0);
  for (int r = 0; r < 3; ++r)
    for (const std::int64_t id : census.layout().ids_of(r)) by_rank.push_back(static_cast<double>(id));
  EXPECT_NE(by_rank, by_id) << "the test would show nothing";
  EXPECT_EQ(census.by_id(by_rank), by_id);
  EXPECT_THROW((void)census.by_id({1.0}), Error);
}

TEST(Census, RefusesBytesThatAreNoAssignment) {
  Census census(Layout::blocks(K, 3), prompt_tokens);
  std::vector<std::byte> bytes = to_bytes(census.resampled(drawn(1)).back());
  const auto kind_of = [](const std::vector<std::byte>& some) {
    try {
      (void)assignment_from(some);
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::internal;
  };
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_EQ(kind_of({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n)}), ErrorKind::peer) << n;
  bytes.push_back(std::byte{0});
  EXPECT_EQ(kind_of(bytes), ErrorKind::peer);
}

}  // namespace
}  // namespace twistor::smc
