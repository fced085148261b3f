// SPDX-License-Identifier: Apache-2.0
// The decoder's weights, packed for products. Private to the model room.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "weight_packer.hpp"

namespace twistor::model {

struct LayerWeights {
  device::Norm attention_norm, mlp_norm, attention_post_norm, mlp_post_norm, q_norm, k_norm;
  device::Linear qkv, out, up, down;
  device::LayerAttention attention;
};

/// All matrices of the CPU engine go into one allocation of the given WeightMemory.
class DecoderWeights {
 public:
  DecoderWeights(DecoderSource source, const LoadOptions& options);

  [[nodiscard]] bool is_changing() const { return changing_.has_value(); }
  /// ChangingDecoder::follow().
  void follow(const device::Engine& engine, const ValuesOf& values);

  device::Table embedding, positions;  // positions: learned ones only
  device::Norm final_norm;
  std::vector<LayerWeights> layers;
  device::Linear head;
  std::int64_t n_parameters = 0;

 private:
  std::shared_ptr<const format::WeightFile> file_;
  std::optional<DecoderSource> changing_;  // where all of it came from, of one that changes
  std::vector<std::byte> private_memory_;
};

}  // namespace twistor::model
