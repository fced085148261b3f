// SPDX-License-Identifier: Apache-2.0
// Typed collectives against what one rank can work out alone.
#include "twistor/comm/collectives.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "twistor/base/philox.hpp"

namespace twistor::comm {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

TEST(AllReduce, SumsIntegersOfEveryWidth) {
  const auto world = Communicator::world();
  const int n = world.size(), r = world.rank();
  std::array<std::int64_t, 3> wide{r, -r, std::int64_t{1} << 40};
  all_reduce_sum(std::span<std::int64_t>(wide), world);
  EXPECT_THAT(wide, ElementsAre(n * (n - 1) / 2, -n * (n - 1) / 2, (std::int64_t{1} << 40) * n));
  EXPECT_EQ(all_reduce_sum(std::uint8_t{3}, world), 3 * n);
  EXPECT_EQ(all_reduce_sum(std::int16_t{-300}, world), -300 * n);
  EXPECT_EQ(all_reduce_sum(std::uint64_t{1} << 60, world), static_cast<std::uint64_t>(n) << 60);
  EXPECT_EQ(all_reduce_sum(std::size_t{5}, world), 5u * static_cast<std::size_t>(n));
}

TEST(AllReduce, FindsExtremes) {
  const auto world = Communicator::world();
  const int n = world.size(), r = world.rank();
  std::array<double, 2> x{0.5 * r, -0.5 * r};
  auto y = x;
  all_reduce_max(std::span<double>(x), world);
  all_reduce_min(std::span<double>(y), world);
  EXPECT_THAT(x, ElementsAre(0.5 * (n - 1), 0.0));
  EXPECT_THAT(y, ElementsAre(0.0, -0.5 * (n - 1)));
  EXPECT_EQ(all_reduce_max(static_cast<float>(r), world), static_cast<float>(n - 1));
  EXPECT_EQ(all_reduce_min(r - 100, world), -100);
}

TEST(AllReduce, RefusesNanBeforeAnyoneCommunicates) {
  EXPECT_THROW((void)all_reduce_max(std::numeric_limits<double>::quiet_NaN(), Communicator::world()), Error);
}

TEST(AllReduce, GoesInPiecesBeyondTheLimit) {
  const auto world = Communicator::world();
  for (const std::size_t limit : {1u, 7u, 100u}) {
    std::vector<std::int32_t> data(23);
    std::iota(data.begin(), data.end(), world.rank());
    detail::all_reduce(data.data(), data.size(), detail::Element::int32, detail::Reduction::max, world,
                       limit);
    for (int i = 0; i < 23; ++i) EXPECT_EQ(data[static_cast<std::size_t>(i)], i + world.size() - 1);
  }
}

/// Rank r gives r * r % 4 elements 100 r, 100 r + 1, ...: unequal shares, some empty.
std::vector<std::int32_t> share_of(int rank) {
  std::vector<std::int32_t> share(static_cast<std::size_t>(rank * rank % 4));
  std::iota(share.begin(), share.end(), 100 * rank);
  return share;
}

struct Shares {
  std::vector<std::int32_t> all;
  std::vector<std::int64_t> counts;
  explicit Shares(int n_ranks) {
    for (int r = 0; r < n_ranks; ++r) {
      const auto share = share_of(r);
      all.insert(all.end(), share.begin(), share.end());
      counts.push_back(static_cast<std::int64_t>(share.size()));
    }
  }
};

TEST(Gather, UnequalSharesArriveInRankOrder) {
  const auto world = Communicator::world();
  const Shares expected(world.size());
  const auto mine = share_of(world.rank());
  EXPECT_EQ(all_gather(std::span(mine), world), expected.all);
  EXPECT_EQ(all_gather_v(std::span(mine), expected.counts, world), expected.all);
  std::vector<std::int32_t> in_place(expected.all.size(), -1);
  const auto before = std::reduce(expected.counts.begin(), expected.counts.begin() + world.rank());
  std::ranges::copy(mine, in_place.begin() + before);
  all_gather_in_place(std::span(in_place), expected.counts, world);
  EXPECT_EQ(in_place, expected.all);
  const int root = world.size() - 1;
  const auto gathered = gather_v(std::span(mine), expected.counts, root, world);
  EXPECT_EQ(gathered, world.rank() == root ? expected.all : std::vector<std::int32_t>{});
}

TEST(Gather, EqualSharesAndNothingAtAll) {
  const auto world = Communicator::world();
  const std::array<double, 2> mine{world.rank() + 0.25, world.rank() + 0.75};
  const auto all = all_gather(std::span<const double>(mine), world);
  ASSERT_EQ(all.size(), 2u * static_cast<std::size_t>(world.size()));
  for (int r = 0; r < world.size(); ++r) EXPECT_EQ(all[static_cast<std::size_t>(2 * r + 1)], r + 0.75);
  EXPECT_TRUE(all_gather(std::span<const double>(), world).empty());
}

TEST(Gather, GoesInPiecesBeyondTheLimit) {
  const auto world = Communicator::world();
  const auto n = static_cast<std::size_t>(world.size());
  const std::vector<std::byte> mine(11, static_cast<std::byte>(world.rank() + 1));
  const std::vector<std::int64_t> counts(n, 11);
  std::vector<std::byte> expected;
  for (std::size_t r = 0; r < n; ++r) expected.insert(expected.end(), 11, static_cast<std::byte>(r + 1));
  for (const std::size_t limit : {3u, 11u, 1000u}) {
    std::vector<std::byte> all(11 * n);
    detail::all_gather_v(mine, counts, all, world, limit);
    EXPECT_EQ(all, expected) << limit;
    std::vector<std::byte> in_place(11 * n);
    std::ranges::copy(mine, in_place.begin() + 11 * world.rank());
    detail::all_gather_in_place(counts, in_place, world, limit);
    EXPECT_EQ(in_place, expected) << limit;
    std::vector<std::byte> at_root(world.rank() == 0 ? 11 * n : 0);
    detail::gather_v(mine, counts, at_root, 0, world, limit);
    EXPECT_EQ(at_root, world.rank() == 0 ? expected : std::vector<std::byte>{}) << limit;
  }
}

TEST(Gather, AWrongCountIsAnErrorAndNotAHang) {
  const auto world = Communicator::world();
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()), 3);
  const std::array<std::int32_t, 2> mine{};
  EXPECT_THROW((void)all_gather_v(std::span<const std::int32_t>(mine), counts, world), Error);
  std::vector<std::int32_t> too_few(static_cast<std::size_t>(3 * world.size() - 1));
  EXPECT_THROW(all_gather_in_place(std::span(too_few), counts, world), Error);
  EXPECT_THROW((void)all_gather_v(std::span<const std::int32_t>(), std::span<const std::int64_t>(), world),
               Error);
}

TEST(Broadcast, CopiesNumbersTextsAndBytes) {
  const auto world = Communicator::world();
  for (int root = 0; root < world.size(); ++root) {
    const bool is_root = world.rank() == root;
    std::array<double, 3> numbers{};
    if (is_root) numbers = {1.5, -0.0, 7};
    broadcast(std::span<double>(numbers), root, world);
    EXPECT_THAT(numbers, ElementsAre(1.5, -0.0, 7));
    std::string text = is_root ? "Es war einmal" : "something longer that must go";
    broadcast(text, root, world);
    EXPECT_EQ(text, "Es war einmal");
    std::vector<std::byte> bytes(is_root ? 0 : 5);
    broadcast(bytes, root, world);
    EXPECT_TRUE(bytes.empty());
    std::vector<double> found(is_root ? 2 : 3, is_root ? 0.5 : 1.5);
    broadcast(found, root, world);
    EXPECT_THAT(found, ElementsAre(0.5, 0.5));
    EXPECT_TRUE(broadcast_value(is_root, world, root));
    EXPECT_EQ(broadcast_value(world.rank(), world, root), root);
  }
}

TEST(Broadcast, GoesInPiecesBeyondTheLimit) {
  const auto world = Communicator::world();
  std::vector<std::byte> data(20);
  for (std::size_t i = 0; i < data.size() && world.rank() == 0; ++i) data[i] = static_cast<std::byte>(i + 1);
  detail::broadcast(data, 0, world, 6);
  for (std::size_t i = 0; i < data.size(); ++i) EXPECT_EQ(data[i], static_cast<std::byte>(i + 1));
}

TEST(Scan, SumsTheRanksBefore) {
  const auto world = Communicator::world();
  EXPECT_EQ(exclusive_scan_sum(10 + world.rank(), world),
            10 * world.rank() + world.rank() * (world.rank() - 1) / 2);
}

/// n log weights over a wide range, the same on every rank.
std::vector<double> log_weights(std::size_t n) {
  std::vector<double> x(n);
  Philox random(3, Stream::test, 0, 0);
  for (auto& value : x) value = 40 * random.normal();
  x[n / 2] = -std::numeric_limits<double>::infinity();
  return x;
}

TEST(OrderFree, WeightSumsHaveTheSameBitsHoweverTheParticlesAreSpread) {
  const auto world = Communicator::world();
  const auto x = log_weights(257);
  WeightSums expected;
  for (const double value : x) expected.add(value);
  for (const std::size_t stride : {1u, 3u, 64u}) {
    WeightSums mine;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (static_cast<int>(i / stride) % world.size() == world.rank()) mine.add(x[i]);
    }
    EXPECT_EQ(all_reduce(mine, world), expected);
    EXPECT_EQ(all_reduce(mine.sum, world), expected.sum);
  }
  EXPECT_EQ(all_reduce(WeightSums{}, world), WeightSums{});
}

TEST(OrderFree, FixedPointSumsHaveTheSameBitsHoweverTheTermsAreSpread) {
  const auto world = Communicator::world();
  std::array<FixedPointSum, 2> expected, mine;
  Philox random(4, Stream::test, 0, 0);
  for (int i = 0; i < 100; ++i) {
    const double a = 1e6 * random.normal(), b = 1e-6 * random.normal();
    expected[0].add(a);
    expected[1].add(b);
    if (i * i % world.size() == world.rank()) {
      mine[0].add(a);
      mine[1].add(b);
    }
  }
  all_reduce(std::span<FixedPointSum>(mine), world);
  EXPECT_EQ(mine, expected);
}

}  // namespace
}  // namespace twistor::comm
