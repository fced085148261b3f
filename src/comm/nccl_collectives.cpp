// SPDX-License-Identifier: Apache-2.0
// The NCCL back end. Built with TWISTOR_CUDA; its tests also build it against a stand-in for libnccl
// (tests/support).
#include "nccl_collectives.hpp"

#include <fmt/format.h>
#include <nccl.h>

#include <exception>
#include <thread>

#include "cuda_device.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

// LibTorch works on the default stream; on the same one, operations and kernels keep their order without
// events, and the memory of a tensor that is let go early is reused only after the operation.
constexpr cudaStream_t default_stream = nullptr;

void check_nccl(ncclResult_t code, const char* call, const char* doing, ncclComm_t handle = nullptr) {
  if (code == ncclSuccess) [[likely]]
    return;
  const std::string expression = call;
  const char* detail = ncclGetLastError(handle);
  throw Error(
      ErrorKind::peer, doing,
      fmt::format("{} failed: {}{}{}", expression.substr(0, expression.find('(')), ncclGetErrorString(code),
                  detail != nullptr && *detail != 0 ? "; " : "", detail != nullptr ? detail : ""),
      "export NCCL_DEBUG=WARN and look for the first message of any rank; each rank needs a GPU of its own");
}

/// Every NCCL call goes through this.
#define TWISTOR_NCCL(call, doing, ...) check_nccl((call), #call, doing __VA_OPT__(, ) __VA_ARGS__)

struct NcclTraits {
  using type = ncclComm_t;
  static type null() noexcept { return nullptr; }
  static void close(type handle) noexcept {
    // A communicator in trouble must be aborted: destroying waits for work that will never end.
    ncclResult_t state = ncclSuccess;
    const bool is_sound = ncclCommGetAsyncError(handle, &state) == ncclSuccess && state == ncclSuccess;
    if (is_sound && std::uncaught_exceptions() == 0) {
      ncclCommDestroy(handle);
    } else {
      ncclCommAbort(handle);
    }
  }
};

ncclDataType_t nccl_type(at::ScalarType type) {
  switch (type) {
    case at::kByte:
    case at::kBool:
      return ncclUint8;
    case at::kChar:
      return ncclInt8;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    case at::kHalf:
      return ncclFloat16;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kFloat:
      return ncclFloat32;
    case at::kDouble:
      return ncclFloat64;
    default:
      TWISTOR_ASSERT(false, fmt::format("NCCL can carry tensors of dtype {}", c10::toString(type)));
  }
  return ncclInt8;
}

std::size_t count(const at::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.numel());
}

class NcclCollectives final : public TensorCollectives {
 public:
  NcclCollectives(const Communicator& comm, int index) : TensorCollectives(comm.size()), index_(index) {
    constexpr const char* doing = "connecting the GPUs";
    struct Ticket {
      ncclUniqueId id;
      ncclResult_t code;
    } ticket{};
    if (comm.rank() == 0) ticket.code = ncclGetUniqueId(&ticket.id);
    comm::broadcast(std::span<Ticket>(&ticket, 1), 0, comm);
    TWISTOR_NCCL(ticket.code, "getting an id for NCCL");  // all ranks throw, or none
    cuda::use_device(index_);
    ncclComm_t made = nullptr;
    TWISTOR_NCCL(ncclCommInitRank(&made, comm.size(), ticket.id, comm.rank()), doing);
    handle_ = UniqueHandle<NcclTraits>(made);
  }

  void all_reduce_sum(at::Tensor& tensor) override {
    constexpr const char* doing = "adding tensors of all ranks";
    TWISTOR_ASSERT(tensor.scalar_type() != at::kBool, "truth values are not added");
    prepare(tensor);
    TWISTOR_NCCL(ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(), count(tensor),
                               nccl_type(tensor.scalar_type()), ncclSum, handle_.get(), default_stream),
                 doing, handle_.get());
    check_progress(doing);
  }

  void broadcast(at::Tensor& tensor, int root) override {
    constexpr const char* doing = "broadcasting a tensor";
    prepare(tensor);
    TWISTOR_NCCL(ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), count(tensor),
                               nccl_type(tensor.scalar_type()), root, handle_.get(), default_stream),
                 doing, handle_.get());
    check_progress(doing);
  }

  void all_gather_into(at::Tensor& out, const at::Tensor& local) override {
    constexpr const char* doing = "gathering tensors of all ranks";
    check_gather(out, local, cuda::device_type());
    prepare(local);
    TWISTOR_NCCL(ncclAllGather(local.data_ptr(), out.data_ptr(), count(local), nccl_type(local.scalar_type()),
                               handle_.get(), default_stream),
                 doing, handle_.get());
    check_progress(doing);
  }

  void exchange(std::span<const TensorMessage> sends, std::span<const TensorMessage> receives) override {
    constexpr const char* doing = "exchanging tensors";
    for (const auto& message : sends) prepare(message.tensor);
    for (const auto& message : receives) prepare(message.tensor);
    // In one group, so that no send waits for a receive that its peer has not come to yet.
    TWISTOR_NCCL(ncclGroupStart(), doing);
    for (const auto& [peer, tensor] : sends) {
      TWISTOR_NCCL(ncclSend(tensor.data_ptr(), count(tensor), nccl_type(tensor.scalar_type()), peer,
                            handle_.get(), default_stream),
                   doing, handle_.get());
    }
    for (const auto& [peer, tensor] : receives) {
      TWISTOR_NCCL(ncclRecv(tensor.data_ptr(), count(tensor), nccl_type(tensor.scalar_type()), peer,
                            handle_.get(), default_stream),
                   doing, handle_.get());
    }
    TWISTOR_NCCL(ncclGroupEnd(), doing, handle_.get());
    check_progress(doing);
  }

  void wait() override {
    // A peer that vanishes shows as an asynchronous error, never as an end of the stream's work.
    constexpr const char* doing = "waiting for the GPUs";
    cuda::use_device(index_);
    while (!cuda::is_idle()) {
      check_progress(doing);
      std::this_thread::yield();
    }
    check_progress(doing);
  }

  [[nodiscard]] std::string name() const override { return "nccl"; }

 private:
  void prepare(const at::Tensor& tensor) const {
    check(tensor, cuda::device_type());
    cuda::use_device(index_);
  }

  void check_progress(const char* doing) const {
    ncclResult_t state = ncclSuccess;
    TWISTOR_NCCL(ncclCommGetAsyncError(handle_.get(), &state), doing, handle_.get());
    if (state != ncclInProgress) check_nccl(state, "an earlier operation", doing, handle_.get());
  }

  int index_;
  UniqueHandle<NcclTraits> handle_;
};

}  // namespace

std::unique_ptr<TensorCollectives> make_nccl_collectives(const Communicator& comm, int index) {
  const int place_on_node =
      comm.node().rank();  // always: finding it is collective, and ranks may differ in `index`
  const int place = index >= 0 ? index : place_on_node;
  const int n_devices = cuda::device_count();
  const int n_lacking = all_reduce_sum(static_cast<int>(place >= n_devices), comm);
  TWISTOR_CHECK(n_lacking == 0, ErrorKind::config, "choosing a GPU for each rank",
                fmt::format("{} of {} ranks have no GPU of their own (rank {} wants number {} and sees {})",
                            n_lacking, comm.size(), comm.rank(), place, n_devices),
                "start at most one rank per GPU, or use device cpu");
  return std::make_unique<NcclCollectives>(comm, place);
}

}  // namespace twistor::comm
