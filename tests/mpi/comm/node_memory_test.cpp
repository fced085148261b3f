// SPDX-License-Identifier: Apache-2.0
// Node memory: one buffer, every rank reads what the writer wrote.
#include "twistor/comm/node_memory.hpp"

#include <gmock/gmock.h>

#include <cstdint>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

TEST(NodeMemory, EveryRankReadsWhatTheWriterWrote) {
  const auto node = Communicator::world().node();
  for (const std::size_t size : {1u, 64u, 100000u}) {
    NodeMemory memory(node, size);
    ASSERT_EQ(memory.bytes().size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.bytes().data()) % 4096, 0u);
    EXPECT_EQ(all_reduce_sum(static_cast<int>(memory.is_writer()), node), 1);
    if (memory.is_writer()) {
      for (std::size_t i = 0; i < size; ++i) memory.bytes()[i] = static_cast<std::byte>(i * 7 + size);
    }
    memory.publish();
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(memory.bytes()[i], static_cast<std::byte>(i * 7 + size));
    node.barrier();
  }
}

// Pairs of ranks stand for nodes.
TEST(NodeMemory, GoesFromTheFirstRankToEveryNode) {
  const auto world = Communicator::world();
  const auto node = world.split(world.rank() / 2);
  for (const std::size_t size : {1u, 100000u}) {
    NodeMemory memory(node, size);
    for (std::size_t i = 0; memory.is_writer() && i < size; ++i)
      memory.bytes()[i] = world.rank() == 0 ? static_cast<std::byte>(i * 5 + size) : std::byte{0};
    memory.publish_from_first(world);
    for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(memory.bytes()[i], static_cast<std::byte>(i * 5 + size));
    node.barrier();
  }
}

TEST(NodeMemory, ExistsOnce) {
  const auto node = Communicator::world().node();
  NodeMemory first(node, 4096);
  const NodeMemory memory = std::move(first);
  // Every rank in turn adds one to the same byte.
  for (int turn = 0; turn < node.size(); ++turn) {
    if (turn == node.rank()) {
      memory.bytes()[5] = static_cast<std::byte>(std::to_integer<int>(memory.bytes()[5]) * (turn > 0) + 1);
    }
    node.barrier();
  }
  EXPECT_EQ(std::to_integer<int>(memory.bytes()[5]), node.size());
}

TEST(NodeMemory, AnotherSizeOnOneRankIsAnErrorOnEveryRank) {
  const Communicator node = Communicator::world().node();
  if (node.size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  try {
    const NodeMemory memory(node, node.rank() == 1 ? 4096 : 8192);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_THAT(error.text(), testing::HasSubstr("some ranks want 4096 bytes and others 8192"));
  }
}

TEST(NodeMemory, NoRoomIsAnErrorOnEveryRank) {
  const auto node = Communicator::world().node();
  try {
    const NodeMemory memory(node, std::size_t{1} << 46);
    ADD_FAILURE() << "64 TiB were found";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), testing::HasSubstr("no room for 70368744177664 bytes"));
  }
}

}  // namespace
}  // namespace twistor::comm
