// SPDX-License-Identifier: Apache-2.0
// Collectives on tensors where they live: MPI for main memory, NCCL or MPI for GPU memory, one interface.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>

#include "twistor/comm/communicator.hpp"
#include "twistor/comm/transport.hpp"

namespace twistor::comm {

/// A tensor that goes to, or comes from, one rank. The receiver has given it the right shape and dtype.
struct TensorMessage {
  int peer = 0;
  at::Tensor tensor;
};

/// All tensors are contiguous and on device(). With NCCL an operation is put on the default stream and
/// returns at once; later work on that stream sees its result, and wait() shows it to the host and finds
/// errors. Throws Error(internal) for unfit tensors and Error(peer) when the library below reports a failure.
class TensorCollectives {
 public:
  virtual ~TensorCollectives() = default;

  /// Replaces every element by its sum over the ranks. The order of a floating-point sum depends on the
  /// number of ranks: what must not depend on it goes through tree_all_reduce. Any numeric dtype.
  /// *Collective.*
  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  /// Copies root's elements to all. *Collective.*
  virtual void broadcast(at::Tensor& tensor, int root) = 0;
  /// Writes the tensors of all ranks, which have one shape, into `out`  // (P, ...). *Collective.*
  virtual void all_gather_into(at::Tensor& out, const at::Tensor& local) = 0;
  /// Messages between pairs, all at once: every send has its receive on the other side, in the same order for
  /// each pair. Self-messages are allowed. *Collective over the pairs.*
  virtual void exchange(std::span<const TensorMessage> sends, std::span<const TensorMessage> receives) = 0;
  /// Returns when everything asked for so far is done. *Local.* Throws Error(peer) if that takes too long.
  virtual void wait() = 0;
  /// "MPI", "MPI through main memory" or "NCCL 2.28.9".
  [[nodiscard]] virtual std::string name() const = 0;

  [[nodiscard]] at::Device device() const { return device_; }
  /// A new tensor (P, ...) with the tensors of all ranks. *Collective.*
  [[nodiscard]] at::Tensor all_gather(const at::Tensor& local);
  /// One message of an exchange.
  void send(const at::Tensor& tensor, int peer);
  void recv(at::Tensor& tensor, int peer);

 protected:
  TensorCollectives(int n_ranks, at::Device device) : n_ranks_(n_ranks), device_(device) {}
  TensorCollectives(const TensorCollectives&) = delete;
  TensorCollectives& operator=(const TensorCollectives&) = delete;

  /// Throws Error(internal) unless `tensor` is contiguous and lives on device().
  void check(const at::Tensor& tensor) const;
  /// The same for an all-gather's two ends.
  void check_gather(const at::Tensor& out, const at::Tensor& local) const;

 private:
  int n_ranks_;
  at::Device device_;
};

/// The back end for tensors on `device`, this rank's own; all ranks' are of one kind. *Collective over comm.*
/// Throws Error(config) on every rank if `transport` asks for NCCL and there is none, or two ranks have the
/// same GPU.
[[nodiscard]] std::unique_ptr<TensorCollectives> make_tensor_collectives(
    const Communicator& comm, at::Device device, Transport transport = Transport::automatic);

}  // namespace twistor::comm
