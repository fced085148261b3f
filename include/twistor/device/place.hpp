// SPDX-License-Identifier: Apache-2.0
// The choices of run.device and run.kernels.
#pragma once

#include <array>

#include "twistor/base/names.hpp"

namespace twistor::device {

/// Where tensors live; emulated: in host memory, with GPU kernels run by fibers.
enum class Place { cpu, cuda, emulated };
constexpr auto names_of(Place) {
  return std::array{Named{Place::cpu, "cpu"}, Named{Place::cuda, "cuda"}, Named{Place::emulated, "emulated"}};
}

/// Whose kernels compute what is not a product: ours or ATen's.
enum class KernelChoice { automatic, own, aten };
constexpr auto names_of(KernelChoice) {
  using enum KernelChoice;
  return std::array{Named{automatic, "auto"}, Named{own, "own"}, Named{aten, "aten"}};
}

}  // namespace twistor::device
