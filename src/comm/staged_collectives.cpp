// SPDX-License-Identifier: Apache-2.0
// Through pinned main memory, and who shares a GPU.
#include "staged_collectives.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

class StagedCollectives final : public TensorCollectives {
 public:
  StagedCollectives(const Communicator& comm, at::Device device)
      : TensorCollectives(comm.size(), device), mpi_(make_tensor_collectives(comm, at::kCPU)) {}

  void all_reduce_sum(at::Tensor& tensor) override {
    at::Tensor host = down(tensor);
    mpi_->all_reduce_sum(host);
    tensor.copy_(host);
  }
  void broadcast(at::Tensor& tensor, int root) override {
    at::Tensor host = down(tensor);
    mpi_->broadcast(host, root);
    tensor.copy_(host);
  }
  void all_gather_into(at::Tensor& out, const at::Tensor& local) override {
    check_gather(out, local);
    at::Tensor all = host_like(out);
    mpi_->all_gather_into(all, down(local));
    out.copy_(all);
  }
  void exchange(std::span<const TensorMessage> sends, std::span<const TensorMessage> receives) override {
    std::vector<TensorMessage> out, in;
    for (const auto& [peer, tensor] : sends) out.push_back({peer, down(tensor)});
    for (const auto& [peer, tensor] : receives) in.push_back({peer, host_like(tensor)});
    mpi_->exchange(out, in);
    for (std::size_t i = 0; i < in.size(); ++i) at::Tensor(receives[i].tensor).copy_(in[i].tensor);
  }
  void wait() override {}
  [[nodiscard]] std::string name() const override { return "MPI through main memory"; }

 private:
  /// Memory that the GPU's copies reach without another one between.
  [[nodiscard]] at::Tensor host_like(const at::Tensor& tensor) const {
    check(tensor);
    return at::empty(tensor.sizes(),
                     at::TensorOptions(tensor.scalar_type()).pinned_memory(device().is_cuda()));
  }
  [[nodiscard]] at::Tensor down(const at::Tensor& tensor) const { return host_like(tensor).copy_(tensor); }

  std::unique_ptr<TensorCollectives> mpi_;
};

}  // namespace

std::unique_ptr<TensorCollectives> make_staged_collectives(const Communicator& comm, at::Device device) {
  return std::make_unique<StagedCollectives>(comm, device);
}

std::string shared_gpus(const Communicator& comm, const std::optional<std::string>& bus_id) {
  constexpr std::size_t longest = 32;
  std::array<char, longest> mine{};
  if (bus_id) std::copy_n(bus_id->begin(), std::min(bus_id->size(), longest - 1), mine.begin());
  const Communicator node = comm.node();
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(node.size()), 1);
  const auto all = all_gather_v(std::span<const std::array<char, longest>>(&mine, 1), ones, node);
  const bool is_shared = bus_id.has_value() && std::ranges::count(all, mine) > 1;
  const int n_shared = all_reduce_sum(static_cast<int>(is_shared), comm);
  return n_shared == 0 ? "" : fmt::format("{} of {} ranks share theirs", n_shared, comm.size());
}

}  // namespace twistor::comm
