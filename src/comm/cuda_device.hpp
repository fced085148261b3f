// SPDX-License-Identifier: Apache-2.0
// All that the NCCL back end asks of the CUDA runtime. Tests without a GPU put host memory in its place.
#pragma once

#include <c10/core/DeviceType.h>

namespace twistor::comm::cuda {

/// Where the tensors live.
[[nodiscard]] c10::DeviceType device_type() noexcept;
/// Number of GPUs this process sees; 0 without a driver.
[[nodiscard]] int device_count();
/// Makes a GPU the current one of this thread.
void use_device(int index);
/// Whether all work on the default stream is done. Throws Error(peer) if some of it failed.
[[nodiscard]] bool is_idle();

}  // namespace twistor::comm::cuda
