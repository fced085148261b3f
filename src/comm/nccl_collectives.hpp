// SPDX-License-Identifier: Apache-2.0
// The NCCL back end, for the factory and for its tests. Private to the comm room.
#pragma once

#include <chrono>
#include <memory>

#include "twistor/comm/tensor_collectives.hpp"

namespace twistor::comm {

/// How long wait() waits for the GPUs before it takes a peer for lost.
inline constexpr std::chrono::seconds nccl_patience{600};

/// For tensors on `device`, of which every rank has one of its own. *Collective over comm.* Throws
/// Error(config) on every rank if some rank has no NCCL, and Error(peer) if it fails.
[[nodiscard]] std::unique_ptr<TensorCollectives> make_nccl_collectives(
    const Communicator& comm, at::Device device, std::chrono::milliseconds patience = nccl_patience);

}  // namespace twistor::comm
