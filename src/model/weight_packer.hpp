// Reading stored tensors into packed matrices that share one allocation. Private to the model room.
#pragma once

#include <cstddef>
#include <vector>

#include "twistor/model/decoder.hpp"

namespace twistor::model {

struct NormWeights {
  std::vector<float> weight, bias;
};
struct LinearWeights {
  device::PackedMatrix matrix;
  std::vector<float> bias;  // empty: none
};

[[nodiscard]] NormWeights read_norm(const NormSource& source);

/// Bytes of the allocation that a matrix takes.
[[nodiscard]] std::size_t packed_bytes(const MatrixSource& source, device::Precision precision);

/// 64-byte aligned memory for packed weights: options.memory's, or else `own`, which is resized.
[[nodiscard]] std::byte* weight_memory(const LoadOptions& options, std::size_t bytes,
                                       std::vector<std::byte>& own);

/// Hands out pieces of one allocation and fills them on the rank that writes.
class WeightPacker {
 public:
  WeightPacker(std::byte* memory, const LoadOptions& options)
      : next_(memory), precision_(options.precision), is_writer_(options.memory.is_writer) {}

  [[nodiscard]] device::PackedMatrix matrix(const MatrixSource& source);
  /// With the parts' biases.
  [[nodiscard]] LinearWeights linear(const MatrixSource& source);

 private:
  void pack_stacked(device::PackedMatrix& matrix, const MatrixSource& source);

  std::byte* next_;
  device::Precision precision_;
  bool is_writer_;
};

}  // namespace twistor::model
