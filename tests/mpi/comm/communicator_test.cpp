// SPDX-License-Identifier: Apache-2.0
// Communicators, groups and the launcher.
#include "twistor/comm/communicator.hpp"

#include <gmock/gmock.h>

#include <string>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

using testing::HasSubstr;

TEST(Communicator, SplitsByColorInRankOrder) {
  const auto world = Communicator::world();
  const auto half = world.split(world.rank() % 2);
  EXPECT_EQ(half.rank(), world.rank() / 2);
  EXPECT_EQ(half.size(), (world.size() + 1 - world.rank() % 2) / 2);
  EXPECT_EQ(all_reduce_sum(std::int64_t{world.rank()} % 2, half),
            std::int64_t{world.rank()} % 2 * half.size());
}

TEST(Communicator, DuplicateHasItsOwnMessagesAndMovesKeepTheHandle) {
  const auto world = Communicator::world();
  auto copy = world.duplicate();
  EXPECT_NE(copy.opaque(), world.opaque());
  const auto handle = copy.opaque();
  const Communicator moved = std::move(copy);
  EXPECT_EQ(moved.opaque(), handle);
  EXPECT_EQ(moved.rank(), world.rank());
  moved.barrier();
}

TEST(Communicator, SelfIsAlone) {
  const auto self = Communicator::self();
  EXPECT_EQ(self.rank(), 0);
  EXPECT_EQ(self.size(), 1);
}

TEST(Communicator, TestsRunOnOneNode) {
  const auto world = Communicator::world();
  const auto node = world.node();
  EXPECT_EQ(node.size(), world.size());
  EXPECT_EQ(node.rank(), world.rank());
}

TEST(Communicator, MpiErrorsBecomeErrors) {
  const auto world = Communicator::world();
  for (const auto* comm : {&world}) {
    try {
      int value = 0;
      TWISTOR_MPI(MPI_Bcast(&value, 1, MPI_INT, comm->size() + 7, native(*comm)),
                  "trying a root that is not there");
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peer);
      EXPECT_THAT(error.text(), HasSubstr("trying a root that is not there: MPI_Bcast failed: MPI_ERR_ROOT"));
    }
  }
  const auto part = world.split(0);  // inherits nothing by luck
  int value = 0;
  EXPECT_EQ(MPI_Bcast(&value, 1, MPI_INT, -5, native(part)), MPI_ERR_ROOT);
}

TEST(Groups, CutTheWorldIntoNeighbours) {
  const auto world = Communicator::world();
  for (int per_group = 1; per_group <= world.size(); ++per_group) {
    if (world.size() % per_group != 0) {
      EXPECT_THROW((void)make_groups(world, per_group), Error);
      continue;
    }
    const Groups groups = make_groups(world, per_group);
    EXPECT_EQ(groups.n_groups, world.size() / per_group);
    EXPECT_EQ(groups.group_index, world.rank() / per_group);
    EXPECT_EQ(groups.group.size(), per_group);
    EXPECT_EQ(groups.group.rank(), world.rank() % per_group);
    EXPECT_EQ(groups.across.size(), groups.n_groups);
    EXPECT_EQ(groups.across.rank(), groups.group_index);
  }
}

TEST(Groups, ZeroMeansAllAndNonsenseNamesTheKey) {
  const auto world = Communicator::world();
  EXPECT_EQ(make_groups(world, 0).group.size(), world.size());
  for (const int wrong : {-1, world.size() + 1}) {
    try {
      (void)make_groups(world, wrong);
      ADD_FAILURE() << "no error for " << wrong;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      EXPECT_THAT(error.text(), HasSubstr("run.ranks_per_population = " + std::to_string(wrong)));
    }
  }
}

TEST(Environment, KnowsItsLauncher) {
  // These tests run under mpirun; by hand, as one rank, either answer is right.
  EXPECT_TRUE(Environment::launched_by_mpirun() || Communicator::world().size() == 1);
}

}  // namespace
}  // namespace twistor::comm
