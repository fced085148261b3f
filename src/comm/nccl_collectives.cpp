// SPDX-License-Identifier: Apache-2.0
// The NCCL back end.
#include "nccl_collectives.hpp"

#include <c10/core/Stream.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <fmt/format.h>

#include <exception>
#include <thread>

#include "nccl_library.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

using nccl::library;
using nccl::Result;

// LibTorch works on the default stream; on the same one, operations and kernels keep their order without
// events, and the memory of a tensor that is let go early is reused only after the operation.
constexpr nccl::Stream default_stream = nullptr;

void check_nccl(Result code, const char* call, const char* doing, nccl::Handle handle = nullptr) {
  if (code == Result::success) [[likely]]
    return;
  const char* const detail = library().get_last_error(handle);
  throw Error(
      ErrorKind::peer, doing,
      fmt::format("{} failed: {}{}{}", call, library().get_error_string(code),
                  detail != nullptr && *detail != 0 ? "; " : "", detail != nullptr ? detail : ""),
      "export NCCL_DEBUG=WARN and look for the first message of any rank; run.collectives = mpi does without "
      "NCCL");
}

struct NcclTraits {
  using type = nccl::Handle;
  static type null() noexcept { return nullptr; }
  static void close(type handle) noexcept {
    // A communicator in trouble must be aborted: destroying waits for work that will never end.
    Result state = Result::success;
    const bool is_sound =
        library().comm_get_async_error(handle, &state) == Result::success && state == Result::success;
    if (is_sound && std::uncaught_exceptions() == 0) {
      library().comm_destroy(handle);
    } else {
      library().comm_abort(handle);
    }
  }
};

nccl::DataType nccl_type(at::ScalarType type) {
  using enum nccl::DataType;
  switch (type) {
    case at::kByte:
    case at::kBool:
      return uint8;
    case at::kChar:
      return int8;
    case at::kInt:
      return int32;
    case at::kLong:
      return int64;
    case at::kHalf:
      return float16;
    case at::kBFloat16:
      return bfloat16;
    case at::kFloat:
      return float32;
    case at::kDouble:
      return float64;
    default:
      TWISTOR_ASSERT(false, fmt::format("NCCL can carry tensors of dtype {}", c10::toString(type)));
  }
  return int8;
}

std::size_t count(const at::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.numel());
}

/// Work of this process on one device. On the CPU, where tests put a stand-in for NCCL, all of it is done.
class Work {
 public:
  explicit Work(at::Device device) : device_(device) {}
  void use_device() const {
    if (!device_.is_cpu()) c10::impl::getDeviceGuardImpl(device_.type())->setDevice(device_);
  }
  [[nodiscard]] bool is_done() const {
    return device_.is_cpu() || c10::impl::getDeviceGuardImpl(device_.type())
                                   ->queryStream(c10::Stream(c10::Stream::DEFAULT, device_));
  }

 private:
  at::Device device_;
};

class NcclCollectives final : public TensorCollectives {
 public:
  NcclCollectives(const Communicator& comm, at::Device device, std::chrono::milliseconds patience)
      : TensorCollectives(comm.size(), device), work_(device), patience_(patience) {
    constexpr const char* doing = "connecting the GPUs";
    struct Ticket {
      nccl::UniqueId id;
      Result code;
    } ticket{};
    if (comm.rank() == 0) ticket.code = library().get_unique_id(&ticket.id);
    comm::broadcast(std::span<Ticket>(&ticket, 1), 0, comm);
    check_nccl(ticket.code, "ncclGetUniqueId", doing);  // all ranks throw, or none
    work_.use_device();
    nccl::Handle made = nullptr;
    check_nccl(library().comm_init_rank(&made, comm.size(), ticket.id, comm.rank()), "ncclCommInitRank",
               doing);
    handle_ = UniqueHandle<NcclTraits>(made);
  }

  void all_reduce_sum(at::Tensor& tensor) override {
    constexpr const char* doing = "adding tensors of all ranks";
    TWISTOR_ASSERT(tensor.scalar_type() != at::kBool, "truth values are not added");
    prepare(tensor);
    call(library().all_reduce(tensor.data_ptr(), tensor.data_ptr(), count(tensor),
                              nccl_type(tensor.scalar_type()), nccl::ReduceOp::sum, handle_.get(),
                              default_stream),
         "ncclAllReduce", doing);
    check_progress(doing);
  }

  void broadcast(at::Tensor& tensor, int root) override {
    constexpr const char* doing = "broadcasting a tensor";
    prepare(tensor);
    call(library().broadcast(tensor.data_ptr(), tensor.data_ptr(), count(tensor),
                             nccl_type(tensor.scalar_type()), root, handle_.get(), default_stream),
         "ncclBroadcast", doing);
    check_progress(doing);
  }

  void all_gather_into(at::Tensor& out, const at::Tensor& local) override {
    constexpr const char* doing = "gathering tensors of all ranks";
    check_gather(out, local);
    work_.use_device();
    call(library().all_gather(local.data_ptr(), out.data_ptr(), count(local), nccl_type(local.scalar_type()),
                              handle_.get(), default_stream),
         "ncclAllGather", doing);
    check_progress(doing);
  }

  void exchange(std::span<const TensorMessage> sends, std::span<const TensorMessage> receives) override {
    constexpr const char* doing = "exchanging tensors";
    for (const auto& message : sends) prepare(message.tensor);
    for (const auto& message : receives) prepare(message.tensor);
    // In one group, so that no send waits for a receive that its peer has not come to yet.
    call(library().group_start(), "ncclGroupStart", doing);
    for (const auto& [peer, tensor] : sends)
      call(library().send(tensor.data_ptr(), count(tensor), nccl_type(tensor.scalar_type()), peer,
                          handle_.get(), default_stream),
           "ncclSend", doing);
    for (const auto& [peer, tensor] : receives)
      call(library().recv(tensor.data_ptr(), count(tensor), nccl_type(tensor.scalar_type()), peer,
                          handle_.get(), default_stream),
           "ncclRecv", doing);
    call(library().group_end(), "ncclGroupEnd", doing);
    check_progress(doing);
  }

  void wait() override {
    // A peer that vanishes shows as an asynchronous error, or not at all, never as an end of the stream's
    // work.
    constexpr const char* doing = "waiting for the GPUs";
    work_.use_device();
    const auto begin = std::chrono::steady_clock::now();
    while (check_progress(doing) == Result::in_progress || !work_.is_done()) {
      TWISTOR_CHECK(
          std::chrono::steady_clock::now() - begin < patience_, ErrorKind::peer, doing,
          fmt::format("nothing came from another rank for {:g} s",
                      std::chrono::duration<double>(patience_).count()),
          "look for a rank that hangs, and export NCCL_DEBUG=INFO; run.collectives = mpi does without "
          "NCCL");
      std::this_thread::yield();
    }
    check_progress(doing);
  }

  [[nodiscard]] std::string name() const override {
    // Before 2.9 the first number stood for thousands.
    const int version = library().version, unit = version < 10000 ? 1000 : 10000;
    return fmt::format("NCCL {}.{}.{}", version / unit, version % unit / 100, version % 100);
  }

 private:
  void prepare(const at::Tensor& tensor) const {
    check(tensor);
    work_.use_device();
  }

  void call(Result code, const char* name, const char* doing) const {
    check_nccl(code, name, doing, handle_.get());
  }

  Result check_progress(const char* doing) const {
    Result state = Result::success;
    call(library().comm_get_async_error(handle_.get(), &state), "ncclCommGetAsyncError", doing);
    if (state != Result::in_progress) call(state, "an earlier operation", doing);
    return state;
  }

  Work work_;
  std::chrono::milliseconds patience_;
  UniqueHandle<NcclTraits> handle_;
};

}  // namespace

std::unique_ptr<TensorCollectives> make_nccl_collectives(const Communicator& comm, at::Device device,
                                                         std::chrono::milliseconds patience) {
  const int n_lacking = all_reduce_sum(static_cast<int>(!library().missing.empty()), comm);
  TWISTOR_CHECK(n_lacking == 0, ErrorKind::config, "connecting the GPUs",
                fmt::format("{} of {} ranks have no NCCL{}{}", n_lacking, comm.size(),
                            library().missing.empty() ? "" : ": ", library().missing),
                "install it with launch/setup.sh --cuda, or set run.collectives = mpi");
  return std::make_unique<NcclCollectives>(comm, device, patience);
}

}  // namespace twistor::comm
