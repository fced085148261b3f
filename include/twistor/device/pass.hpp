// SPDX-License-Identifier: Apache-2.0
// Passes: what engines do to many new tokens at once, of decoders over their cache and of whole texts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "twistor/device/kv_store.hpp"

namespace twistor::device {

class Engine;
struct Table;

/// Rotary positions: pair i of a head turns by position * frequencies[i] radians.
struct Rotary {
  std::vector<double> frequencies;  ///< one a pair; the first 2 size() dimensions of a head turn
  double magnitude = 1;             ///< factor on cosines and sines (YaRN)
};

/// What the attentions of all layers share.
struct AttentionShape {
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 0;  ///< fewer than n_heads: grouped heads
  std::int64_t head_size = 0;
  bool is_interleaved = false;   ///< pairs are (2i, 2i + 1), else (i, i + pairs)
  std::vector<Rotary> rotaries;  ///< of which each layer names one
  float cap = 0;                 ///< scaled scores x become cap tanh(x / cap); 0: they stay

  [[nodiscard]] std::int64_t qkv_width() const { return (n_heads + 2 * n_kv_heads) * head_size; }
};

inline constexpr std::int64_t no_rotary = -1;

/// What they differ in.
struct LayerAttention {
  std::int64_t layer = 0;
  float scale = 1;
  std::int64_t window = 0;          ///< positions seen back from the query, itself included; 0: all
  std::int64_t rotary = no_rotary;  ///< which of the rotary positions turns queries and keys
};

/// Attention of new tokens over the cache, layer by layer.
class AttentionPass {
 public:
  virtual ~AttentionPass() = default;
  /// Turns queries and keys of `qkv` (rows, qkv_width) to their positions, stores keys and values, and gives
  /// out = softmax(q k^T scale) v, (rows, n_heads head_size).
  virtual void run(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) = 0;
};

/// Sizes of the buffers of a decoder's layers.
struct PassSizes {
  std::int64_t width = 0;  ///< D
  std::int64_t qkv = 0, heads = 0;
  std::int64_t inner = 0;   ///< of the product before the activation: twice `active` where gated
  std::int64_t active = 0;  ///< after it
  bool has_branch = false;  ///< what is added to the stream is changed before
};

/// Buffers of one pass, (rows, ...) each; an operation may put another tensor in a buffer's place.
struct PassBuffers {
  at::Tensor x, normal, qkv, heads, inner, active, branch, hidden;
};

/// Uninitialised. *Local.*
[[nodiscard]] PassBuffers make_buffers(const Engine& engine, const PassSizes& sizes, std::int64_t n_rows);

struct Embedding {
  const Table* tokens = nullptr;
  float scale = 1;
  const Table* positions = nullptr;  ///< learned ones; nullptr: none
};

/// One pass of new tokens through a decoder.
class DecoderPass {
 public:
  virtual ~DecoderPass() = default;
  /// x = scaled rows of the tokens, plus those of their positions.
  virtual void embed(const Embedding& embedding, at::Tensor& x) = 0;
  /// As AttentionPass::run().
  virtual void attend(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) = 0;
};

/// Runs a decoder's passes one after another. *Local.*
class PassRunner {
 public:
  /// Leaves the pass's result in buffers.hidden. It looks at no numbers on the host, and does the same on
  /// the same sizes: it may be recorded, and done again without being called.
  using Body = std::function<void(DecoderPass& pass, PassBuffers& buffers)>;
  virtual ~PassRunner() = default;
  /// The hidden states of those tokens, (rows.size(), D).
  [[nodiscard]] virtual at::Tensor run(const KvRows& rows, std::span<const std::int64_t> tokens,
                                       const Body& body) = 0;
};

/// Disentangled attention (He et al. 2021): each query also meets the key, and each key the query, that a
/// table has for their distance.
struct RelativePositions {
  at::Tensor keys, queries;  ///< (table rows, D) float32 of a layer; undefined: not met
  std::span<const std::int64_t>
      row_of;  ///< of the distances query - key -n, ..., n, 2 n + 1 of them; ascending
};

/// How the tokens of a text see one another.
struct TextAttention {
  std::int64_t n_heads = 1;
  std::int64_t n_terms = 1;  ///< scores are divided by sqrt(n_terms D / n_heads)
  const RelativePositions* positions = nullptr;
};

/// What becomes of a text's rows: their sum, the first, or the largest of each column.
enum class Pooling { sum, first, max };

/// Whole texts of any lengths, one after another, whose tokens all see one another.
class TextPass {
 public:
  virtual ~TextPass() = default;
  /// out(rows, D) = softmax(scores / sqrt(n_terms D / n_heads)) v within each text and head, scores being
  /// q k^T and, for the distance of each pair, q key^T and k query^T of a table. qkv: (rows, 3 D), queries,
  /// keys, values side by side. Texts are no longer than the positions' distances.
  virtual void attend(const TextAttention& shape, const at::Tensor& qkv, at::Tensor& out) = 0;
  /// (texts, D) float64 of x (rows, D), in float64.
  [[nodiscard]] virtual at::Tensor pool(Pooling how, const at::Tensor& x) const = 0;
};

}  // namespace twistor::device
