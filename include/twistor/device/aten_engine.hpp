// SPDX-License-Identifier: Apache-2.0
// The engine made of ATen's operations alone.
#pragma once

#include <memory>

#include "twistor/device/engine.hpp"
#include "twistor/device/place.hpp"

namespace twistor::device {

/// Computes by ATen on that device: at::kCPU, or a GPU after load_cuda(). A row's bits may depend on its
/// batch. Of the options it takes score_rows alone. *Local.*
[[nodiscard]] std::shared_ptr<const Engine> make_aten_engine(at::Device device,
                                                             const EngineOptions& options = {});

/// f(x) by ATen, element by element; gradients pass through it. *Local.*
[[nodiscard]] at::Tensor activated(ActivationKind kind, const at::Tensor& x);

}  // namespace twistor::device
