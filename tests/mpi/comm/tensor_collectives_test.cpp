// SPDX-License-Identifier: Apache-2.0
// The MPI back ends for tensors, and the choice of a back end.
#include "twistor/comm/tensor_collectives.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "comm/staged_collectives.hpp"
#include "twistor/base/error.hpp"

namespace twistor::comm {
namespace {

/// Both back ends: main memory is a device like others to the one that copies.
class MpiTensors : public testing::TestWithParam<const char*> {
 protected:
  const Communicator world = Communicator::world();
  const int n = world.size(), rank = world.rank();
  const std::unique_ptr<TensorCollectives> mpi = std::string(GetParam()) == "MPI"
                                                     ? make_tensor_collectives(world, at::kCPU)
                                                     : make_staged_collectives(world, at::kCPU);
};

TEST_P(MpiTensors, AddEveryDtype) {
  EXPECT_EQ(mpi->name(), GetParam());
  EXPECT_EQ(mpi->device(), at::Device(at::kCPU));
  for (const auto type : {at::kFloat, at::kDouble, at::kInt, at::kLong, at::kShort, at::kByte, at::kChar,
                          at::kBFloat16, at::kHalf}) {
    at::Tensor tensor = at::full({2, 3}, rank + 1, type);
    mpi->all_reduce_sum(tensor);
    EXPECT_EQ(tensor.scalar_type(), type);
    EXPECT_TRUE(tensor.equal(at::full({2, 3}, n * (n + 1) / 2, type))) << c10::toString(type);
  }
}

TEST_P(MpiTensors, BroadcastAndGather) {
  for (int root = 0; root < n; ++root) {
    at::Tensor tensor = at::full({4}, rank == root ? 2.5 : 0.0, at::kBFloat16);
    mpi->broadcast(tensor, root);
    EXPECT_TRUE(tensor.equal(at::full({4}, 2.5, at::kBFloat16)));
  }
  const at::Tensor all = mpi->all_gather(at::full({2, 3}, rank, at::kLong));
  ASSERT_EQ(all.sizes(), (std::vector<std::int64_t>{n, 2, 3}));
  for (int r = 0; r < n; ++r) EXPECT_TRUE(all[r].equal(at::full({2, 3}, r, at::kLong)));
}

TEST_P(MpiTensors, ExchangeWithEveryoneAtOnceItselfIncluded) {
  std::vector<TensorMessage> sends, receives;
  for (int peer = 0; peer < n; ++peer) {
    for (int turn = 0; turn < 2; ++turn) {  // two for each pair, in order
      sends.push_back({peer, at::full({peer + 1}, 100 * rank + 10 * peer + turn, at::kFloat)});
      receives.push_back({peer, at::zeros({rank + 1}, at::kFloat)});
    }
  }
  mpi->exchange(sends, receives);
  for (std::size_t i = 0; i < receives.size(); ++i) {
    const auto& [peer, tensor] = receives[i];
    EXPECT_TRUE(
        tensor.equal(at::full({rank + 1}, 100 * peer + 10 * rank + static_cast<int>(i % 2), at::kFloat)));
  }
}

TEST_P(MpiTensors, SendDownALine) {
  at::Tensor token = at::full({1}, rank, at::kLong);
  if (rank > 0) mpi->recv(token, rank - 1);
  if (rank + 1 < n) mpi->send(token, rank + 1);
  mpi->wait();
  EXPECT_EQ(token.item<std::int64_t>(), 0);
}

TEST_P(MpiTensors, UnfitTensorsAreRefusedBeforeSending) {
  at::Tensor turned = at::zeros({2, 3}, at::kFloat).t();
  at::Tensor flags = at::zeros({2}, at::kBool);
  at::Tensor undefined;
  at::Tensor out = at::zeros({n, 2}, at::kFloat);
  EXPECT_THROW(mpi->all_reduce_sum(turned), Error);
  EXPECT_THROW(mpi->all_reduce_sum(flags), Error);
  EXPECT_THROW(mpi->broadcast(undefined, 0), Error);
  EXPECT_THROW(mpi->all_gather_into(out, at::zeros({3}, at::kFloat)), Error);
  EXPECT_THROW(mpi->all_gather_into(out, at::zeros({2}, at::kDouble)), Error);
}

INSTANTIATE_TEST_SUITE_P(BackEnds, MpiTensors, testing::Values("MPI", "MPI through main memory"));

TEST(SharedGpus, AreFoundByTheirPlaceOnTheBus) {
  const Communicator world = Communicator::world();
  const int n = world.size(), rank = world.rank();
  EXPECT_EQ(shared_gpus(world, std::nullopt), "") << "no GPUs at all";
  EXPECT_EQ(shared_gpus(world, fmt::format("0000:0{}:00.0", rank)), "");
  const std::string all = n == 1 ? "" : fmt::format("{0} of {0} ranks share theirs", n);
  EXPECT_EQ(shared_gpus(world, "0000:01:00.0"), all);
  EXPECT_EQ(shared_gpus(world, ""), all) << "whose place nobody knows";
  const int pairs = n / 2 * 2;  // the last rank of an odd number has one of its own
  EXPECT_EQ(shared_gpus(world, fmt::format("0000:0{}:00.0", rank / 2)),
            pairs == 0 ? "" : fmt::format("{} of {} ranks share theirs", pairs, n));
}

TEST(Tensors, AreWithThoseWhoAreStillTogether) {
  const int n = Communicator::world().size(), rank = Communicator::world().rank();
  Communicator all = Communicator::world();
  EXPECT_EQ(all.tensors(), nullptr);
  all.carry_tensors_by(make_tensor_collectives(all, at::kCPU));
  EXPECT_EQ(all.split(0).tensors(), all.tensors());
  const Communicator halves = all.split(rank % 2);
  EXPECT_EQ(halves.tensors(), n == 1 ? all.tensors() : nullptr);
  EXPECT_EQ(Communicator::world().tensors(), nullptr);
}

}  // namespace
}  // namespace twistor::comm
