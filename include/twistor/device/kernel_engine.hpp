// SPDX-License-Identifier: Apache-2.0
// ATen's engine with CUDA kernels of our own for what is not a product; on a GPU, or emulated on the CPU.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"
#include "twistor/device/place.hpp"

namespace twistor::device {

/// On a CUDA device, or on at::kCPU by the emulator, where every CUDA thread is a fiber: slow, for checking.
/// options.precision: in which products take their operands. nullptr for a CUDA device if this build has
/// no kernels for it (no nvcc was there). *Local.*
[[nodiscard]] std::shared_ptr<const Engine> make_kernel_engine(at::Device device,
                                                               const EngineOptions& options);

}  // namespace twistor::device
