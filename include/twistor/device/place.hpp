// SPDX-License-Identifier: Apache-2.0
// The choices of run.device and run.kernels.
#pragma once

#include <array>
#include <cstdint>

#include "twistor/base/names.hpp"
#include "twistor/device/packed_matrix.hpp"

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

/// Whether a GPU's short passes are recorded once and then started as one.
enum class GraphUse { automatic, on, off };
constexpr auto names_of(GraphUse) {
  using enum GraphUse;
  return std::array{Named{automatic, "auto"}, Named{on, "on"}, Named{off, "off"}};
}

struct EngineOptions {
  Precision precision = Precision::float32;  ///< the model's
  GraphUse graphs = GraphUse::automatic;     ///< automatic: on a GPU, with kernels of our own
  /// Rows of the model and of heads have the same bits in every batch: products that do not keep them are
  /// done in tiles of one size. Kernels of our own alone.
  bool deterministic = false;
  /// Where rows of scores over the vocabulary lie on a device: how many at a time. They are computed a second
  /// time for the draw then. 0: all, which stay until it.
  std::int64_t score_rows = 0;
};

}  // namespace twistor::device
