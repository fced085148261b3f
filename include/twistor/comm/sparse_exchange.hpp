// SPDX-License-Identifier: Apache-2.0
// Parcels of bytes between the few pairs of ranks that have something for each other.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Bytes for, or from, one rank.
struct Parcel {
  int peer = 0;
  std::vector<std::byte> bytes;
};

/// Delivers `outgoing` (at most one parcel a destination; this rank itself is allowed, and so are empty
/// parcels) and returns what arrives, ordered by source. `sources` names the ranks that send to this one,
/// each once, as a plan that all ranks know says: a rank that is named but does not send leaves this one
/// waiting. Point-to-point messages only, no collective. *Collective over comm*. Throws Error(internal) for
/// peers that do not exist or come twice.
[[nodiscard]] std::vector<Parcel> sparse_exchange(std::span<const Parcel> outgoing,
                                                  std::span<const int> sources, const Communicator& comm);

/// The same when nobody knows who sends (the NBX algorithm: Hoefler, Siebert, Lumsdaine 2010). *Collective
/// over comm.*
[[nodiscard]] std::vector<Parcel> sparse_exchange(std::span<const Parcel> outgoing, const Communicator& comm);

namespace detail {
/// Longer parcels travel as a datatype of blocks of this size, because MPI counts are ints. Tests pass a
/// small one.
inline constexpr std::size_t parcel_block_bytes = std::size_t{1} << 30;

[[nodiscard]] std::vector<Parcel> sparse_exchange(std::span<const Parcel> outgoing,
                                                  std::span<const int> sources, const Communicator& comm,
                                                  std::size_t block_bytes);
}  // namespace detail

}  // namespace twistor::comm
