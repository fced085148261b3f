// SPDX-License-Identifier: Apache-2.0
// The decoder as a function of its weights, for gradients by LibTorch's autograd. Private to the model room.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <unordered_map>

#include "twistor/model/decoder.hpp"

namespace twistor::model {

/// What is added to a stored matrix W (N, K): scale B A, with A (rank, K) and B (N, rank).
struct LowRank {
  at::Tensor a, b;
  float scale = 1;
};

/// The stored tensors by which layers and the last norm compute, float32 in the shape in which they are
/// stored.
struct FunctionalWeights {
  std::unordered_map<const format::TensorInfo*, at::Tensor> values;
  /// Matrices that something is added to.
  std::unordered_map<const format::TensorInfo*, LowRank> low_rank;
};

/// Sequences that continue one prompt; the last token of each is not read.
struct TextShape {
  std::int64_t n_prompt = 0;
  std::int64_t n_sequences = 0;
  std::int64_t length = 0;  ///< T
  [[nodiscard]] std::int64_t rows() const { return n_prompt + n_sequences * (length - 1); }
};

/// Hidden states before each token of the sequences, (n T, D). `x` (rows, D) are embeddings: those of the
/// prompt, which is read once, then those of each sequence. The same operations for every family as the
/// decoder's own, in ATen's arithmetic; whatever requires gradients gets them.
[[nodiscard]] at::Tensor functional_hidden(const DecoderSource& source, const FunctionalWeights& weights,
                                           at::Tensor x, const TextShape& shape);

}  // namespace twistor::model
