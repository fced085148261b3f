// SPDX-License-Identifier: Apache-2.0
// How many MPI calls each operation makes: what G4 of the performance goals counts.
#include <gmock/gmock.h>

#include <array>

#include "support/pmpi_count.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/sparse_exchange.hpp"
#include "twistor/comm/tree_reduce.hpp"

namespace twistor::comm {
namespace {

TEST(CallCount, OneReductionOf64BytesForTheWeights) {
  const auto world = Communicator::world();
  WeightSums sums;
  sums.add(-1.0);
  (void)all_reduce(sums, world);  // the first call also makes the operator
  pmpi::reset();
  (void)all_reduce(sums, world);
  const auto counts = pmpi::read();
  EXPECT_EQ(counts.of("MPI_Allreduce").calls, 1);
  EXPECT_EQ(counts.of("MPI_Allreduce").max_bytes, 64);
  EXPECT_EQ(counts.collectives(), 1);
  EXPECT_EQ(counts.messages(), 0);
  EXPECT_EQ(counts.bytes(), 64);
}

TEST(CallCount, OneCollectiveWhenCountsAreKnownAndTwoWhenNot) {
  const auto world = Communicator::world();
  const std::array<double, 3> mine{};
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()), 3);
  pmpi::reset();
  (void)all_gather_v(std::span<const double>(mine), counts, world);
  EXPECT_EQ(pmpi::read().collectives(), 1);
  EXPECT_EQ(pmpi::read().of("MPI_Allgatherv").bytes, 24);
  pmpi::reset();
  (void)all_gather(std::span<const double>(mine), world);
  EXPECT_EQ(pmpi::read().collectives(), 2);
}

TEST(CallCount, APlannedExchangeIsItsMessagesAndNoCollective) {
  const auto world = Communicator::world();
  const int n = world.size(), next = (world.rank() + 1) % n, previous = (world.rank() + n - 1) % n;
  const std::array outgoing{Parcel{next, std::vector<std::byte>(100)}};
  pmpi::reset();
  (void)sparse_exchange(outgoing, std::array{previous}, world);
  const auto counts = pmpi::read();
  EXPECT_EQ(counts.collectives(), 0);
  EXPECT_EQ(counts.messages(), n > 1 ? 1 : 0);
  EXPECT_EQ(counts.bytes(), n > 1 ? 100 : 0);
}

TEST(CallCount, TheTreeSendsEachPartialSumOnce) {
  const auto world = Communicator::world();
  std::vector<float> leaf(1000), out(1000);
  pmpi::reset();
  tree_all_reduce({leaf}, world.rank(), world.size(), out, world);
  const auto counts = pmpi::read();
  EXPECT_EQ(counts.messages(), world.rank() == 0 ? 0 : 1);
  EXPECT_EQ(counts.collectives(), 2);
}

}  // namespace
}  // namespace twistor::comm
