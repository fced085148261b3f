// SPDX-License-Identifier: Apache-2.0
// One decoder for every family: what differs between GPT-2, Llama and their kin is data, not code.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/format/weight_file.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {

enum class PositionKind { learned, rotary_half, rotary_interleaved };
using device::ActivationKind;
using device::NormKind;
using device::Rotary;

/// Sizes and habits of a decoder.
struct DecoderTraits {
  std::string family;  ///< as messages name it
  std::int64_t n_layers = 0;
  std::int64_t width = 0;  ///< D
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;  ///< fewer than n_heads: grouped heads
  std::int64_t head_size = 0;
  std::int64_t feed_forward = 0;  ///< inner width of the MLP
  std::int64_t vocab_size = 0;    ///< V
  std::int64_t context = 0;
  NormKind norm = NormKind::layer_norm;
  PositionKind position = PositionKind::learned;
  ActivationKind activation = ActivationKind::gelu_tanh;
  bool is_gated = false;     ///< the MLP is down(activation(gate) * up), not down(activation(up))
  bool is_parallel = false;  ///< attention and MLP of a layer both read the layer's input
  double norm_eps = 1e-5;
  std::vector<Rotary> rotaries;  ///< of which each layer names one, or none
  /// LongRoPE: what replaces the first of them for all positions of all texts where some text is longer than
  /// `context`, and the largest context then; none: no text may be longer.
  std::optional<Rotary> long_rotary;
  std::int64_t long_context = 0;
  double embedding_scale = 1;  ///< factor on embeddings
  double branch_scale = 1;     ///< factor on what each branch adds to the stream
  double attention_cap = 0;    ///< scores x become cap tanh(x / cap); 0: they stay
  double logit_cap = 0;        ///< the same of logits
};

/// Where a matrix (N, K) of the decoder comes from: parts stacked along N, each with its bias or none.
struct MatrixSource {
  /// Rows [row_begin, row_begin + n_rows) of a stored matrix, and the same of its bias.
  struct Part {
    const format::TensorInfo* weight = nullptr;
    const format::TensorInfo* bias = nullptr;
    std::int64_t row_begin = 0;
    std::int64_t n_rows = 0;  ///< 0: all
    [[nodiscard]] std::int64_t rows() const { return n_rows != 0 ? n_rows : weight->shape[0]; }
  };
  std::vector<Part> parts;
  bool is_transposed = false;  ///< stored (K, N), as GPT-2's Conv1D does; then there is one part
};

struct NormSource {
  const format::TensorInfo* weight = nullptr;
  const format::TensorInfo* bias = nullptr;  ///< layer_norm only
  float offset = 0;                          ///< added to the weight as stored
  float scale = 1;                           ///< and a factor on the sum
};

struct LayerSource {
  NormSource attention_norm, mlp_norm;            ///< of what a branch reads; no weight: none
  NormSource attention_post_norm, mlp_post_norm;  ///< of what it adds to the stream; no weight: none
  NormSource q_norm, k_norm;   ///< of queries and keys: head by head if they have head_size weights, else of
                               ///< all heads together; no weight: none
  MatrixSource qkv;            ///< N = (n_heads + 2 n_kv_heads) head_size: queries, keys, values
  MatrixSource out;            ///< (D, n_heads head_size)
  MatrixSource up;             ///< (F, D), or gate then up, (2 F, D), where is_gated
  MatrixSource down;           ///< (D, F)
  double attention_scale = 1;  ///< of q k^T
  std::int64_t window = 0;     ///< positions seen back, the query's own included; 0: all
  std::int64_t rotary = device::no_rotary;  ///< which of the traits' rotaries
};

/// All that a family's file gives: traits and where each tensor lies. Views the weight file.
struct DecoderSource {
  DecoderTraits traits;
  std::shared_ptr<const format::WeightFile> file;
  const format::TensorInfo* embedding = nullptr;  ///< (V, D)
  const format::TensorInfo* positions = nullptr;  ///< (context, D), learned only
  const format::TensorInfo* head = nullptr;       ///< (V, D); nullptr: tied to the embedding
  NormSource final_norm;
  std::vector<LayerSource> layers;
  std::string fingerprint;   ///< sha256 of what defines the outputs
  bool is_headless = false;  ///< nobody asks for logits: the output matrix is not read
  /// Tensors that a ChangingDecoder is given other values of; the output matrix is none.
  std::unordered_set<const format::TensorInfo*> changing;
};

/// What a stored tensor has become: float32 in the shape in which it is stored, on the engine's device;
/// undefined where it is as it was.
using ValuesOf = std::function<at::Tensor(const format::TensorInfo&)>;

/// A decoder that other weights are put into.
class ChangingDecoder : public LanguageModel {
 public:
  /// Puts new values into their places, where products take them from; asks for tensors of source.changing
  /// alone. Where the engine keeps tensors nothing passes through main memory, and what was recorded of
  /// passes stays good. In main memory, tables view the values. Counts revision() up. *Local*, not beside
  /// forward().
  virtual void follow(const ValuesOf& values) = 0;
};

/// Reads the weights into options.engine and returns the model. Throws Error(data) naming tensors whose
/// shapes or values do not fit.
[[nodiscard]] std::unique_ptr<LanguageModel> make_decoder(DecoderSource source, const LoadOptions& options);
/// The same with source.changing, whose matrices are not kept as codes.
[[nodiscard]] std::unique_ptr<ChangingDecoder> make_changing_decoder(DecoderSource source,
                                                                     const LoadOptions& options);

}  // namespace twistor::model
