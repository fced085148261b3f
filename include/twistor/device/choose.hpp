// SPDX-License-Identifier: Apache-2.0
// Which engine a process computes with.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"
#include "twistor/device/place.hpp"

namespace twistor::device {

/// The engine of a process that is number `rank_on_node` on its node: on cuda it takes the GPU of that
/// number, counted round among those that it sees. automatic: our own kernels wherever this build has them.
/// Throws Error(config) where there is no GPU, no CUDA part of LibTorch, or no such
/// kernels. Before the first tensor is made: LibTorch looks for its CUDA part once. *Local.*
[[nodiscard]] std::shared_ptr<const Engine> make_engine(Place place, KernelChoice kernels, int rank_on_node,
                                                        const EngineOptions& options = {});

}  // namespace twistor::device
