// SPDX-License-Identifier: Apache-2.0
// Sparse exchange: random patterns that every rank can work out alone.
#include "twistor/comm/sparse_exchange.hpp"

#include <gmock/gmock.h>

#include <array>
#include <cstdint>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

/// The bytes that `from` sends to `to` in a round, if any; the same on every rank.
struct Planned {
  bool is_sent;
  std::vector<std::byte> bytes;
};

Planned plan(std::uint32_t round, int from, int to) {
  Philox random(7, Stream::test, round, static_cast<std::uint64_t>(from * 100 + to));
  const bool is_sent = random.uniform() < 0.4;
  std::vector<std::byte> bytes(random.uniform() < 0.2 ? 0 : random.below(5000));
  for (auto& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return {is_sent, std::move(bytes)};
}

struct Round {
  std::vector<Parcel> outgoing, expected;
  std::vector<int> sources;
  Round(std::uint32_t round, const Communicator& comm) {
    for (int peer = comm.size() - 1; peer >= 0;
         --peer) {  // backwards: the order of the parcels must not matter
      if (auto out = plan(round, comm.rank(), peer); out.is_sent)
        outgoing.push_back({peer, std::move(out.bytes)});
    }
    for (int peer = 0; peer < comm.size(); ++peer) {
      auto in = plan(round, peer, comm.rank());
      if (!in.is_sent) continue;
      expected.push_back({peer, std::move(in.bytes)});
      sources.insert(sources.begin(), peer);
    }
  }
};

void expect_equal(const std::vector<Parcel>& got, const std::vector<Parcel>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].peer, expected[i].peer);
    EXPECT_EQ(got[i].bytes, expected[i].bytes);
  }
}

TEST(SparseExchange, DeliversWhatAPlanSays) {
  const auto world = Communicator::world();
  for (std::uint32_t i = 0; i < 50; ++i) {  // without a barrier between the rounds
    const Round round(i, world);
    expect_equal(sparse_exchange(round.outgoing, round.sources, world), round.expected);
  }
}

TEST(SparseExchange, FindsOutWhoSends) {
  const auto world = Communicator::world();
  for (std::uint32_t i = 0; i < 50; ++i) {
    const Round round(i, world);
    expect_equal(sparse_exchange(round.outgoing, world), round.expected);
  }
}

TEST(SparseExchange, SplitsWhatIsTooLongForACount) {
  const auto world = Communicator::world();
  for (const std::size_t block : {1u, 64u, 1000u, 100000u}) {
    const Round round(99, world);
    expect_equal(detail::sparse_exchange(round.outgoing, round.sources, world, block), round.expected);
  }
}

TEST(SparseExchange, NothingToDoIsFine) {
  const auto world = Communicator::world();
  EXPECT_TRUE(sparse_exchange({}, std::span<const int>(), world).empty());
  EXPECT_TRUE(sparse_exchange({}, world).empty());
}

TEST(SparseExchange, RefusesImpossiblePeersBeforeSending) {
  const auto world = Communicator::world();
  const std::array beyond{Parcel{world.size(), {}}};
  const std::array twice{Parcel{0, {}}, Parcel{0, {}}};
  const std::array own{Parcel{world.rank(), {}}};
  const std::array<int, 1> negative{-1};
  EXPECT_THROW((void)sparse_exchange(beyond, world), Error);
  EXPECT_THROW((void)sparse_exchange(twice, world), Error);
  EXPECT_THROW((void)sparse_exchange({}, negative, world), Error);
  EXPECT_THROW((void)sparse_exchange(own, std::span<const int>(), world), Error);
}

}  // namespace
}  // namespace twistor::comm
