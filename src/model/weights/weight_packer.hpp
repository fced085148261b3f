// SPDX-License-Identifier: Apache-2.0
// Reading stored tensors into packed matrices that share one allocation. Private to the model room.
#pragma once

#include <cstddef>
#include <vector>

#include "twistor/model/decoder.hpp"

namespace twistor::model {

[[nodiscard]] device::Norm read_norm(const device::Engine& engine, const NormSource& source,
                                     NormKind kind = NormKind::layer_norm, double eps = 0);

/// Views the tensor, which must outlive the table.
[[nodiscard]] device::Table read_table(const device::Engine& engine, const format::TensorInfo& tensor);

/// Bytes of the allocation that a matrix takes.
[[nodiscard]] std::size_t packed_bytes(const device::Engine& engine, const MatrixSource& source,
                                       device::Precision precision);

/// 64-byte aligned memory for packed weights: options.memory's, or else `own`, which is resized; none for 0
/// bytes.
[[nodiscard]] std::byte* weight_memory(const LoadOptions& options, std::size_t bytes,
                                       std::vector<std::byte>& own);

/// Hands out pieces of one allocation and fills them on the rank that writes; without memory the engine keeps
/// every matrix by itself.
class WeightPacker {
 public:
  WeightPacker(std::byte* memory, const LoadOptions& options)
      : engine_(options.used_engine()),
        next_(memory),
        precision_(options.precision),
        is_writer_(options.memory.is_writer || memory == nullptr) {}

  [[nodiscard]] device::Weight matrix(const MatrixSource& source);
  /// With the parts' biases.
  [[nodiscard]] device::Linear linear(const MatrixSource& source);

 private:
  void pack_stacked(device::Weight& matrix, device::PanelLayout layout, const MatrixSource& source);

  std::shared_ptr<const device::Engine> engine_;
  std::byte* next_;
  device::Precision precision_;
  bool is_writer_;
};

}  // namespace twistor::model
