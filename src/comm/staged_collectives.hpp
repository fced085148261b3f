// SPDX-License-Identifier: Apache-2.0
// Tensors on a GPU that MPI carries, and when it has to. Private to the comm room.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "twistor/comm/tensor_collectives.hpp"

namespace twistor::comm {

/// Copies tensors on `device` to main memory and back for MPI, which cannot read them there. Right for any
/// device, main memory included. *Collective over comm.*
[[nodiscard]] std::unique_ptr<TensorCollectives> make_staged_collectives(const Communicator& comm,
                                                                         at::Device device);

/// Why not every rank has a GPU of its own; empty: each has. `bus_id` is that of this rank's, "" where nobody
/// could say, nullopt where it has none, which counts as its own. *Collective over comm.*
[[nodiscard]] std::string shared_gpus(const Communicator& comm, const std::optional<std::string>& bus_id);

}  // namespace twistor::comm
