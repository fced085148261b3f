// The decoder's weights, packed for products. Private to the model room.
#pragma once

#include <span>
#include <vector>

#include "weight_packer.hpp"

namespace twistor::model {

struct LayerWeights {
  NormWeights attention_norm, mlp_norm, attention_post_norm, mlp_post_norm;
  LinearWeights qkv, out, up, down;
  double attention_scale = 1;
  std::int64_t window = 0;
};

/// Packs all matrices into one allocation of the given WeightMemory. Embedding rows are read where the file
/// maps them.
class DecoderWeights {
 public:
  DecoderWeights(DecoderSource source, const LoadOptions& options);

  /// Row `token` of the embedding, (D).
  void read_embedding(std::int64_t token, std::span<float> out) const;
  /// Row `position` of the learned positions, (D).
  void read_position(std::int64_t position, std::span<float> out) const;

  NormWeights final_norm;
  std::vector<LayerWeights> layers;
  device::PackedMatrix head;
  std::int64_t n_parameters = 0;

 private:
  DecoderSource source_;
  std::vector<std::byte> private_memory_;
};

}  // namespace twistor::model
