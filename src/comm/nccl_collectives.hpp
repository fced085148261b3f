// SPDX-License-Identifier: Apache-2.0
// The NCCL back end, for the factory and for its tests.
#pragma once

#include <memory>

#include "twistor/comm/tensor_collectives.hpp"

namespace twistor::comm {

/// `index` is the GPU, -1 for this rank's place on its node. *Collective over comm.* Throws as
/// make_tensor_collectives.
[[nodiscard]] std::unique_ptr<TensorCollectives> make_nccl_collectives(const Communicator& comm, int index);

}  // namespace twistor::comm
