// SPDX-License-Identifier: Apache-2.0
// Who takes part in a collective: an owned MPI communicator with its rank and size.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "twistor/base/handle.hpp"

namespace twistor::comm {

class TensorCollectives;

namespace detail {
struct CommunicatorTraits {
  using type = std::uintptr_t;  // MPI_Comm in disguise, so that users of this header do not parse mpi.h
  static type null() noexcept { return 0; }
  static void close(type handle) noexcept;
};
}  // namespace detail

/// A move-only value. MPI errors on it come back as Error(peer) (MPI_ERRORS_RETURN). Needs a living
/// Environment.
class Communicator {
 public:
  /// All ranks of the job. *Local.*
  [[nodiscard]] static Communicator world();
  /// This rank alone. *Local.*
  [[nodiscard]] static Communicator self();

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

  /// Whoever carries tensors on a device among these ranks; nullptr: nobody does, they go as bytes of main
  /// memory.
  [[nodiscard]] TensorCollectives* tensors() const noexcept { return tensors_.get(); }
  /// Every rank gives what it made together with the others. *Local.*
  void carry_tensors_by(std::shared_ptr<TensorCollectives> tensors) { tensors_ = std::move(tensors); }

  /// Ranks that give the same color (>= 0), in the order of their ranks here. All of them together keep
  /// tensors(). *Collective over this.*
  [[nodiscard]] Communicator split(int color) const;
  /// The same ranks with a message space of their own. *Collective over this.*
  [[nodiscard]] Communicator duplicate() const;
  /// The ranks that share memory with this one (MPI_COMM_TYPE_SHARED). *Collective over this.*
  [[nodiscard]] Communicator node() const;
  /// Returns when every rank has called it. *Collective over this.*
  void barrier() const;
  /// Ends every rank of the job with `code` as its exit code. *Local.*
  [[noreturn]] void abort(int code) const noexcept;

  /// For native.hpp: the MPI handle as a number.
  [[nodiscard]] std::uintptr_t opaque() const noexcept { return handle_; }
  /// For this room: takes over a handle made by MPI. *Local.*
  [[nodiscard]] static Communicator adopt(std::uintptr_t handle);

 private:
  Communicator(std::uintptr_t handle, bool is_owned);

  UniqueHandle<detail::CommunicatorTraits> owned_;  // empty for world() and self(), which belong to MPI
  std::uintptr_t handle_ = 0;
  int rank_ = 0;
  int size_ = 1;
  std::shared_ptr<TensorCollectives> tensors_;
};

/// The world cut into groups of neighbouring ranks; every group holds one population.
struct Groups {
  Communicator group;  ///< the ranks of this rank's group
  Communicator
      across;  ///< the ranks with this rank's place in every group; for place 0: the leaders of all groups
  int n_groups = 1;
  int group_index = 0;  ///< which group this rank belongs to; also its rank in `across`
};

/// Cuts `world` into groups of `ranks_per_population` ranks; 0 means one group of all. *Collective over
/// world.* Throws Error(config) naming run.ranks_per_population if it is negative or does not divide the
/// number of ranks.
[[nodiscard]] Groups make_groups(const Communicator& world, int ranks_per_population);

}  // namespace twistor::comm
