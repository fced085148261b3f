// SPDX-License-Identifier: Apache-2.0
// The NCCL back end against what one rank can work out alone. Runs with the real libnccl on GPUs, one a rank,
// and with the stand-in of tests/support everywhere.
#include "nccl_collectives.hpp"

#include <gmock/gmock.h>

#include <array>

#include "gpu/device_tensors.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

using test::to_host;
using testing::ElementsAre;

class NcclCollectives : public testing::Test {
 protected:
  void SetUp() override {
    const Communicator node = world.node();
    const std::optional<at::Device> mine = test::device_under_test(node.rank());
    const bool is_alone = mine && (mine->is_cpu() || mine->index() == node.rank());
    if (all_reduce_min(is_alone ? 1 : 0, world) == 0) GTEST_SKIP() << "there are fewer GPUs than ranks";
    device = *mine;
    nccl = make_nccl_collectives(world, device);
  }
  [[nodiscard]] at::Tensor on_device(const std::vector<double>& values, at::ScalarType type) const {
    return test::on_device(values, type, device);
  }

  const Communicator world = Communicator::world();
  const int n = world.size(), rank = world.rank();
  at::Device device = at::kCPU;
  std::unique_ptr<TensorCollectives> nccl;
};

TEST_F(NcclCollectives, KnowsItsName) {
  EXPECT_THAT(nccl->name(), testing::MatchesRegex("NCCL 2\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(nccl->device(), device);
}

TEST_F(NcclCollectives, AddsEveryDtype) {
  for (const auto type : {at::kFloat, at::kDouble, at::kInt, at::kLong, at::kByte, at::kChar}) {
    auto tensor = on_device({1.0 + rank, 3.0}, type);
    nccl->all_reduce_sum(tensor);
    nccl->wait();
    EXPECT_THAT(to_host(tensor), ElementsAre(n * (n + 1) / 2.0, 3.0 * n)) << c10::toString(type);
  }
}

TEST_F(NcclCollectives, Broadcasts) {
  for (int root = 0; root < n; ++root) {
    for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf, at::kLong}) {
      auto tensor = on_device(rank == root ? std::vector{1.0, 2.0, 7.0} : std::vector{0.0, 0.0, 0.0}, type);
      nccl->broadcast(tensor, root);
      nccl->wait();
      EXPECT_THAT(to_host(tensor), ElementsAre(1, 2, 7));
    }
  }
}

TEST_F(NcclCollectives, Gathers) {
  const auto local = on_device({10.0 * rank, 10.0 * rank + 1}, at::kBFloat16);
  auto all = on_device(std::vector<double>(static_cast<std::size_t>(2 * n)), at::kBFloat16);
  nccl->all_gather_into(all, local);
  nccl->wait();
  const auto got = to_host(all);
  for (int r = 0; r < n; ++r) {
    EXPECT_EQ(got[static_cast<std::size_t>(2 * r)], 10 * r);
    EXPECT_EQ(got[static_cast<std::size_t>(2 * r + 1)], 10 * r + 1);
  }
}

TEST_F(NcclCollectives, ExchangesWithEveryoneAtOnceItselfIncluded) {
  std::vector<TensorMessage> sends, receives;
  for (int peer = 0; peer < n; ++peer) {
    sends.push_back({peer, on_device({100.0 * rank + peer, 0.5}, at::kFloat)});
    receives.push_back({peer, on_device({0, 0}, at::kFloat)});
  }
  nccl->exchange(sends, receives);
  nccl->wait();
  for (int peer = 0; peer < n; ++peer) {
    EXPECT_THAT(to_host(receives[static_cast<std::size_t>(peer)].tensor),
                ElementsAre(100.0 * peer + rank, 0.5));
  }
}

TEST_F(NcclCollectives, SendsDownALine) {
  auto token = on_device({static_cast<double>(rank)}, at::kLong);
  if (rank > 0) nccl->recv(token, rank - 1);
  if (rank + 1 < n) nccl->send(token, rank + 1);
  nccl->wait();
  EXPECT_THAT(to_host(token), ElementsAre(0));
}

TEST_F(NcclCollectives, WorksInGroups) {
  const auto half = world.split(rank % 2);
  const auto group = make_nccl_collectives(half, device);
  auto tensor = on_device({1.0 * (rank % 2), 1}, at::kFloat);
  group->all_reduce_sum(tensor);
  group->wait();
  EXPECT_THAT(to_host(tensor), ElementsAre(half.size() * (rank % 2), half.size()));
}

TEST_F(NcclCollectives, RefusesUnfitTensors) {
  auto matrix = on_device({1, 2, 3, 4}, at::kFloat).view({2, 2});
  auto turned = matrix.t();
  at::Tensor undefined;
  EXPECT_THROW(nccl->all_reduce_sum(turned), Error);
  EXPECT_THROW(nccl->broadcast(undefined, 0), Error);
  EXPECT_THROW(nccl->all_gather_into(matrix, on_device(std::vector<double>(5), at::kFloat)), Error);
}

}  // namespace
}  // namespace twistor::comm
