// SPDX-License-Identifier: Apache-2.0
// The sequence of NCCL calls, and what becomes of their failures: only the stand-in can show both.
#include <gmock/gmock.h>
#include <nccl.h>

#include <array>
#include <chrono>
#include <stdexcept>

#include "gpu/device_tensors.hpp"
#include "nccl_collectives.hpp"
#include "nccl_standin.hpp"
#include "twistor/base/error.hpp"

namespace twistor::comm {
namespace {

using testing::HasSubstr;
using testing::StrEq;

class NcclCalls : public testing::Test {
 protected:
  void SetUp() override {
    nccl_standin_reset();
    nccl = make_nccl_collectives(world, at::kCPU);
  }
  void TearDown() override { nccl_standin_reset(); }

  void expect_error(const std::string& text) {
    auto tensor = on_device({1}, at::kFloat);
    try {
      nccl->all_reduce_sum(tensor);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peer);
      EXPECT_THAT(error.text(), HasSubstr(text));
    }
  }

  [[nodiscard]] static at::Tensor on_device(const std::vector<double>& values, at::ScalarType type) {
    return test::on_device(values, type, at::kCPU);
  }

  const Communicator world = Communicator::world();
  const int n = world.size(), rank = world.rank();
  std::unique_ptr<TensorCollectives> nccl;
};

TEST_F(NcclCalls, OneRankMakesTheIdAndAllJoin) {
  EXPECT_EQ(std::string(nccl_standin_log()), (rank == 0 ? "ncclGetUniqueId\n" : "") +
                                                 ("ncclCommInitRank " + std::to_string(n)) + " " +
                                                 std::to_string(rank) + "\n");
  nccl_standin_reset();
  nccl.reset();
  EXPECT_THAT(nccl_standin_log(), StrEq("ncclCommDestroy\n"));
}

TEST_F(NcclCalls, CollectivesAreOneCallEach) {
  nccl_standin_reset();
  auto tensor = on_device({1, 2, 3}, at::kFloat);
  nccl->all_reduce_sum(tensor);
  nccl->broadcast(tensor, n - 1);
  (void)nccl->all_gather(tensor);
  EXPECT_EQ(std::string(nccl_standin_log()), "ncclAllReduce 3 float32\nncclBroadcast 3 float32 from " +
                                                 std::to_string(n - 1) + "\nncclAllGather 3 float32\n");
}

TEST_F(NcclCalls, MessagesGoInOneGroup) {
  nccl_standin_reset();
  const std::string next = std::to_string((rank + 1) % n), previous = std::to_string((rank + n - 1) % n);
  const std::array sends{TensorMessage{(rank + 1) % n, on_device({1, 2}, at::kLong)}};
  const std::array receives{TensorMessage{(rank + n - 1) % n, on_device({0, 0}, at::kLong)}};
  nccl->exchange(sends, receives);
  EXPECT_EQ(std::string(nccl_standin_log()), "ncclGroupStart\nncclSend 2 int64 to " + next +
                                                 "\nncclRecv 2 int64 from " + previous + "\nncclGroupEnd\n");
}

TEST_F(NcclCalls, AFailureBecomesAnErrorThatNamesTheCall) {
  nccl_standin_fail("ncclAllReduce", ncclSystemError);
  expect_error("adding tensors of all ranks: ncclAllReduce failed: failure in the stand-in; told to fail");
}

TEST_F(NcclCalls, AnAsynchronousFailureIsSeenAndAborts) {
  nccl_standin_fail("async", ncclRemoteError);
  expect_error("an earlier operation failed: remote process exited or there was a network error");
  EXPECT_THROW(nccl->wait(), Error);
  nccl.reset();
  EXPECT_THAT(nccl_standin_log(), HasSubstr("ncclCommAbort\n"));
  EXPECT_THAT(nccl_standin_log(), testing::Not(HasSubstr("ncclCommDestroy")));
}

TEST_F(NcclCalls, AWaitThatDoesNotEndIsAnError) {
  nccl = make_nccl_collectives(world, at::kCPU, std::chrono::milliseconds(20));
  nccl->wait();
  nccl_standin_fail("async", ncclInProgress);
  try {
    nccl->wait();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::peer);
    EXPECT_THAT(error.text(), HasSubstr("nothing came from another rank for 0.02 s"));
  }
  nccl_standin_reset();
}

TEST_F(NcclCalls, TheTransportThatIsAskedForIsTaken) {
  nccl_standin_reset();
  EXPECT_EQ(make_tensor_collectives(world, at::kCPU, Transport::mpi)->name(), "MPI");
  EXPECT_EQ(make_tensor_collectives(world, at::kCPU)->name(), "MPI");
  EXPECT_THAT(nccl_standin_log(), StrEq(""));
  EXPECT_EQ(make_tensor_collectives(world, at::kCPU, Transport::nccl)->name(), "NCCL 2.99.99");
}

TEST_F(NcclCalls, AnExceptionElsewhereAbortsInsteadOfWaiting) {
  try {
    const auto doomed = std::move(nccl);
    throw std::runtime_error("something else");
  } catch (const std::runtime_error&) {
    EXPECT_THAT(nccl_standin_log(), HasSubstr("ncclCommAbort\n"));
  }
}

TEST_F(NcclCalls, AnIdThatCannotBeMadeIsAnErrorOnEveryRank) {
  if (rank == 0) nccl_standin_fail("ncclGetUniqueId", ncclInternalError);
  EXPECT_THROW((void)make_nccl_collectives(world, at::kCPU), Error);
}

}  // namespace
}  // namespace twistor::comm
