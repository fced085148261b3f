// SPDX-License-Identifier: Apache-2.0
// What the encoder families have in their files, and where the encoder and the classification head lie in
// them. Private to the model room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/json.hpp"
#include "twistor/model/decoder.hpp"

namespace twistor::model {

struct EncoderTraits {
  std::string family;
  std::int64_t n_layers = 0, width = 0, n_heads = 0, feed_forward = 0;
  std::int64_t vocab_size = 0, n_types = 0, n_positions = 0;
  /// RoBERTa: positions begin after this id's, and tokens of this id take its position; -1: positions 0, 1,
  /// 2, ...
  std::int64_t padding_id = -1;
  double norm_eps = 1e-12;
  ActivationKind activation = ActivationKind::gelu_erf;

  [[nodiscard]] std::int64_t max_tokens() const { return n_positions - (padding_id + 1); }
};

struct EncoderLayerSource {
  MatrixSource qkv, out, up, down;
  NormSource attention_norm, output_norm;  ///< each behind its residual sum
};

/// Views the weight file.
struct EncoderSource {
  EncoderTraits traits;
  std::shared_ptr<const format::WeightFile> file;
  const format::TensorInfo* embedding = nullptr;  ///< (V, D)
  const format::TensorInfo* positions = nullptr;  ///< (n_positions, D)
  const format::TensorInfo* types = nullptr;      ///< (n_types, D) or none
  NormSource embedding_norm;
  std::vector<EncoderLayerSource> layers;
  std::string fingerprint;
};

/// logits = out(activation(dense(hidden of the first token))).
struct HeadSource {
  MatrixSource dense, out;
  ActivationKind activation = ActivationKind::tanh;
};

struct ClassifierSource {
  EncoderSource encoder;
  HeadSource head;
  std::vector<std::string> labels;
  bool is_multi_label = false;
};

/// Reads config.json and looks the tensors up; the second with the head of a sequence classifier. Throw as
/// load_encoder() says.
[[nodiscard]] EncoderSource open_encoder(const std::filesystem::path& folder);
[[nodiscard]] ClassifierSource open_classifier(const std::filesystem::path& folder);

/// id2label says how many classes there are and their names; without it num_labels, else two, as the
/// reference has it.
[[nodiscard]] std::vector<std::string> read_labels(const format::JsonView& config);

/// Packs the weights and returns the model. Throws Error(data) naming tensors with values that are not
/// finite.
class Encoder;
[[nodiscard]] std::unique_ptr<Encoder> make_encoder(EncoderSource source, const LoadOptions& options);

}  // namespace twistor::model
