// SPDX-License-Identifier: Apache-2.0
// An archive that one rank read is there on all, its large arrays once a node.
#include "twistor/learn/broadcast_archive.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/no_shared_memory.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

Array<float> counting(std::int64_t rows, std::int64_t columns) {
  Array<float> out{{rows, columns}, std::vector<float>(static_cast<std::size_t>(rows * columns))};
  std::iota(out.values.begin(), out.values.end(), 1.0F);
  return out;
}

store::Archive whole_archive() {
  store::Archive a;
  a.kind = "checkpoint";
  a.created_by = "a test";
  a.origin = "some/where.h5";
  a.attributes = {{"text", std::string("words")}, {"count", std::int64_t{-7}}, {"number", 0.25}};
  a.datasets = {{"config", std::string("[run]\n")},
                {"ids", Array<std::int64_t>::flat({5, 6, 7})},
                {"reals", Array<double>::flat({0.5, -1.5})},
                {"bytes", Array<std::uint8_t>::flat({1, 2})},
                {"none", Array<std::int64_t>::flat({})},
                {"adam_m/a", counting(2, 3)},
                {"parameters/a", counting(5, 8)},
                {"parameters/b", counting(4, 10)},
                {"parameters/c", counting(13, 3)}};
  return a;
}

void expect_everywhere(bool is_shared) {
  const comm::Communicator world = comm::Communicator::world();
  const store::Archive expected = whole_archive();
  store::Archive archive;
  if (world.rank() == 0) archive = whole_archive();
  const LargeArrays large = broadcast_archive(archive, 40, world);
  EXPECT_EQ(archive.kind, expected.kind);
  EXPECT_EQ(archive.created_by, expected.created_by);
  EXPECT_EQ(archive.origin, expected.origin);
  EXPECT_EQ(archive.attributes, expected.attributes);
  ASSERT_EQ(large.values.size(), 2U);
  EXPECT_EQ(large.shared.has_value(), is_shared);
  for (const auto& [name, dataset] : expected.datasets) {
    const auto elsewhere = large.values.find(name);
    if (elsewhere == large.values.end()) {
      EXPECT_EQ(archive.datasets.at(name), dataset) << name;
      continue;
    }
    const auto& given = std::get<Array<float>>(dataset);
    const auto& left = archive.dataset<Array<float>>(name);
    EXPECT_EQ(left.shape, given.shape);
    EXPECT_TRUE(left.values.empty());
    EXPECT_TRUE(std::ranges::equal(elsewhere->second, given.values)) << name;
  }
}

TEST(BroadcastArchive, GivesAllRanksTheFirstOnesArchive) {
  expect_everywhere(true);
}

TEST(BroadcastArchive, GivesItToEachWhereNothingCanBeShared) {
  if (comm::Communicator::world().node().size() == 1) GTEST_SKIP() << "one rank shares with nobody";
  const test::NoSharedMemory no_room;
  expect_everywhere(false);
}

TEST(BroadcastArchive, SharesNothingWhereNothingIsLarge) {
  const comm::Communicator world = comm::Communicator::world();
  store::Archive archive;
  if (world.rank() == 0) archive = whole_archive();
  const LargeArrays large = broadcast_archive(archive, 41, world);
  EXPECT_TRUE(large.values.empty());
  EXPECT_FALSE(large.shared.has_value());
  EXPECT_EQ(archive.datasets, whole_archive().datasets);
}

}  // namespace
}  // namespace twistor::learn
