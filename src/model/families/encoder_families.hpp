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

/// What attention sees of the distance query - key (DeBERTa).
struct DistanceTraits {
  std::int64_t span = 0;      ///< tables have 2 span rows; 0: it sees no distances
  std::int64_t buckets = 0;   ///< distances beyond half of them share rows, in steps that grow; 0: none do
  std::int64_t farthest = 0;  ///< the distance, less one, where these steps end
  bool meets_keys = false, meets_queries = false;  ///< "c2p", "p2c"
  bool has_own_projections = false;                ///< else those of tokens serve the tables too
  bool is_normalised = false;
};

/// What DeBERTa-v2's larger models add to the first layer's output.
struct ConvolutionTraits {
  std::int64_t kernel_size = 0;  ///< tokens that a token sees, an odd number, itself in the middle; 0: none
  ActivationKind activation = ActivationKind::tanh;
};

struct EncoderTraits {
  std::string family;
  std::int64_t n_layers = 0, width = 0, n_heads = 0, feed_forward = 0;
  std::int64_t vocab_size = 0, n_types = 0, n_positions = 0;
  /// RoBERTa: positions begin after this id's, and tokens of this id take its position; -1: positions 0, 1,
  /// 2, ...
  std::int64_t padding_id = -1;
  double norm_eps = 1e-12;
  ActivationKind activation = ActivationKind::gelu_erf;
  bool has_positions = true;       ///< which are added to the embeddings
  std::int64_t n_score_terms = 1;  ///< of which attention's scores are the sum: see device::TextAttention
  DistanceTraits distances;
  ConvolutionTraits convolution;

  [[nodiscard]] std::int64_t max_tokens() const { return n_positions - (padding_id + 1); }
};

struct EncoderLayerSource {
  MatrixSource qkv, out, up, down;
  NormSource attention_norm, output_norm;        ///< each behind its residual sum
  MatrixSource distance_keys, distance_queries;  ///< projections of the table of distances; may have no parts
};

/// Views the weight file.
struct EncoderSource {
  EncoderTraits traits;
  std::shared_ptr<const format::WeightFile> file;
  const format::TensorInfo* embedding = nullptr;  ///< (V, D)
  const format::TensorInfo* positions = nullptr;  ///< (n_positions, D) or none
  const format::TensorInfo* types = nullptr;      ///< (n_types, D) or none
  const format::TensorInfo* distances = nullptr;  ///< (2 span, D) or none
  NormSource embedding_norm, distance_norm, convolution_norm;
  MatrixSource convolution;  ///< (D, D kernel_size), input after input; or no parts
  std::shared_ptr<const format::TensorInfo> convolution_matrix;  ///< which the above views
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

/// An activation by its name in config.json; may_be_tanh: tanh is one of those that it may be.
[[nodiscard]] ActivationKind read_encoder_activation(const format::JsonView& name, bool may_be_tanh = false);

/// DeBERTa's keys of config.json, into traits that have the width and the positions. Throws Error(data)
/// naming keys that ask for what is not supported.
void read_deberta(const format::JsonView& config, EncoderTraits& traits);

/// The row of a distance query - key in the table: 0 to 2 span - 1, ascending.
[[nodiscard]] std::int64_t row_of_distance(const DistanceTraits& traits, std::int64_t distance);

/// id2label says how many classes there are and their names; without it num_labels, else two, as the
/// reference has it.
[[nodiscard]] std::vector<std::string> read_labels(const format::JsonView& config);

/// Packs the weights and returns the model. Throws Error(data) naming tensors with values that are not
/// finite.
class Encoder;
[[nodiscard]] std::unique_ptr<Encoder> make_encoder(EncoderSource source, const LoadOptions& options);

}  // namespace twistor::model
