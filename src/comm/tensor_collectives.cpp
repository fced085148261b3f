// SPDX-License-Identifier: Apache-2.0
// What the tensor back ends share, MPI's for main memory, and the choice between back ends.
#include "twistor/comm/tensor_collectives.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "nccl_collectives.hpp"
#include "nccl_library.hpp"
#include "staged_collectives.hpp"
#include "tags.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/native.hpp"
#include "twistor/device/memory.hpp"

namespace twistor::comm {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 30;  // MPI counts are ints

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

MPI_Datatype mpi_type(at::ScalarType type) {
  switch (type) {
    case at::kByte:
      return MPI_UINT8_T;
    case at::kChar:
      return MPI_INT8_T;
    case at::kShort:
      return MPI_INT16_T;
    case at::kInt:
      return MPI_INT32_T;
    case at::kLong:
      return MPI_INT64_T;
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    default:
      TWISTOR_ASSERT(false, fmt::format("MPI can add tensors of dtype {}", c10::toString(type)));
  }
  return MPI_DATATYPE_NULL;
}

class MpiCollectives final : public TensorCollectives {
 public:
  explicit MpiCollectives(const Communicator& comm)
      : TensorCollectives(comm.size(), at::kCPU), comm_(comm.duplicate()) {}

  void all_reduce_sum(at::Tensor& tensor) override {
    check(tensor);
    if (tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kHalf) {
      at::Tensor wide = tensor.to(at::kFloat);  // MPI knows no 16-bit floats
      all_reduce_sum(wide);
      tensor.copy_(wide);
      return;
    }
    const MPI_Datatype type = mpi_type(tensor.scalar_type());
    const auto item = static_cast<std::size_t>(tensor.element_size());
    for_each_piece(tensor, [&](std::span<std::byte> piece) {
      TWISTOR_MPI(MPI_Allreduce(MPI_IN_PLACE, piece.data(), static_cast<int>(piece.size() / item), type,
                                MPI_SUM, native(comm_)),
                  "adding tensors of all ranks");
    });
  }

  void broadcast(at::Tensor& tensor, int root) override {
    check(tensor);
    comm::broadcast(bytes_of(tensor), root, comm_);
  }

  void all_gather_into(at::Tensor& out, const at::Tensor& local) override {
    check_gather(out, local);
    const std::vector<std::int64_t> counts(static_cast<std::size_t>(comm_.size()),
                                           static_cast<std::int64_t>(local.nbytes()));
    detail::all_gather_v(bytes_of(local), counts, bytes_of(out), comm_);
  }

  void exchange(std::span<const TensorMessage> sends, std::span<const TensorMessage> receives) override {
    constexpr const char* doing = "exchanging tensors";
    std::vector<MPI_Request> requests;
    for (const auto& [peer, tensor] : receives) {
      check(tensor);
      for_each_piece(tensor, [&, from = peer](std::span<std::byte> piece) {
        TWISTOR_MPI(MPI_Irecv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, from, tags::tensor,
                              native(comm_), &requests.emplace_back(MPI_REQUEST_NULL)),
                    doing);
      });
    }
    for (const auto& [peer, tensor] : sends) {
      check(tensor);
      for_each_piece(tensor, [&, to = peer](std::span<std::byte> piece) {
        TWISTOR_MPI(MPI_Isend(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, to, tags::tensor,
                              native(comm_), &requests.emplace_back(MPI_REQUEST_NULL)),
                    doing);
      });
    }
    TWISTOR_MPI(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), doing);
  }

  void wait() override {}  // every operation above has waited already
  [[nodiscard]] std::string name() const override { return "MPI"; }

 private:
  template <class F>
  static void for_each_piece(const at::Tensor& tensor, const F& piece) {
    const auto all = bytes_of(tensor);
    for (std::size_t begin = 0; begin < all.size(); begin += piece_bytes) {
      piece(all.subspan(begin, std::min(piece_bytes, all.size() - begin)));
    }
  }

  Communicator comm_;
};

}  // namespace

at::Tensor TensorCollectives::all_gather(const at::Tensor& local) {
  std::vector<std::int64_t> shape(local.sizes().begin(), local.sizes().end());
  shape.insert(shape.begin(), n_ranks_);
  at::Tensor out = at::empty(shape, local.options());
  all_gather_into(out, local);
  return out;
}

void TensorCollectives::send(const at::Tensor& tensor, int peer) {
  const std::array messages{TensorMessage{peer, tensor}};
  exchange(messages, {});
}

void TensorCollectives::recv(at::Tensor& tensor, int peer) {
  const std::array messages{TensorMessage{peer, tensor}};
  exchange({}, messages);
}

void TensorCollectives::check(const at::Tensor& tensor) const {
  TWISTOR_ASSERT(tensor.defined() && tensor.is_contiguous() && tensor.device() == device_,
                 fmt::format("tensors that travel are contiguous and on {}", device_.str()));
}

void TensorCollectives::check_gather(const at::Tensor& out, const at::Tensor& local) const {
  check(out);
  check(local);
  TWISTOR_ASSERT(
      out.scalar_type() == local.scalar_type() && out.numel() == n_ranks_ * local.numel(),
      fmt::format("an all-gather's result has room for {} tensors of {} elements (got {}) of one dtype",
                  n_ranks_, local.numel(), out.numel()));
}

std::unique_ptr<TensorCollectives> make_tensor_collectives(const Communicator& comm, at::Device device,
                                                           Transport transport) {
  // By its place on the bus, which its number does not tell where each process sees but one.
  const auto bus_id = device.is_cpu() ? std::nullopt : std::optional(device::bus_id(device));
  if (transport == Transport::nccl) {
    const std::string why = shared_gpus(comm, bus_id);
    TWISTOR_CHECK(why.empty(), ErrorKind::config, "connecting the GPUs",
                  "run.collectives = nccl, which needs a GPU for each rank: " + why,
                  "start as many ranks on a node as it has GPUs, or set run.collectives = auto");
    return make_nccl_collectives(comm, device);
  }
  if (device.is_cpu()) return std::make_unique<MpiCollectives>(comm);
  const bool can_nccl = transport == Transport::automatic && shared_gpus(comm, bus_id).empty() &&
                        all_reduce_min(nccl::library().missing.empty() ? 1 : 0, comm) == 1;
  if (can_nccl) return make_nccl_collectives(comm, device);
  return make_staged_collectives(comm, device);
}

}  // namespace twistor::comm
