// SPDX-License-Identifier: Apache-2.0
// What Llama's relatives share: RMS norms, rotary positions, a gated MLP, grouped heads. Private to the model
// room.
#pragma once

#include <string>
#include <vector>

#include "rope.hpp"

namespace twistor::model {

/// The names under which one layout keeps the tensors of a Llama; nullptr: the family has no such tensor.
struct LlamaNames {
  const char *embedding, *final_norm, *head, *layer;
  const char *attention_norm, *mlp_norm, *q, *k, *v, *out, *gate, *up, *down;
  const char *attention_post_norm = nullptr, *mlp_post_norm = nullptr;
  const char *q_norm = nullptr, *k_norm = nullptr;
  const char *qkv = nullptr, *gate_up = nullptr;  ///< one stored matrix in place of several
};
inline constexpr LlamaNames llama_hf_names{"embed_tokens.weight", "norm",
                                           "lm_head.weight",      "layers.{}.",
                                           "input_layernorm",     "post_attention_layernorm",
                                           "self_attn.q_proj",    "self_attn.k_proj",
                                           "self_attn.v_proj",    "self_attn.o_proj",
                                           "mlp.gate_proj",       "mlp.up_proj",
                                           "mlp.down_proj"};
inline constexpr LlamaNames llama_gguf_names{
    "token_embd.weight", "output_norm", "output.weight", "blk.{}.", "attn_norm",
    "ffn_norm",          "attn_q",      "attn_k",        "attn_v",  "attn_output",
    "ffn_gate",          "ffn_up",      "ffn_down"};

struct Biases {
  bool qkv = false, out = false, mlp = false;
};

/// What the relatives do differently.
struct Habits {
  Biases biases{};
  std::vector<std::int64_t> windows{};   ///< one a layer, or empty
  std::vector<std::int64_t> rotaries{};  ///< which of the traits', one a layer, or empty: the first
  double attention_scale = 0;            ///< 0: 1 / sqrt(head_size)
  float norm_offset = 0;                 ///< what norms add to their weights
  float final_norm_scale = 1;            ///< factor on the last norm's weights
  bool norms_all_heads = false;          ///< q_norm and k_norm run over all heads together
  bool is_tied = false;                  ///< unless config.json says
};

/// Sizes and flags by config.json, without positions.
[[nodiscard]] DecoderTraits llama_sizes(const format::JsonView& config, std::string family);

/// The same with rotary positions. `defaults`: base unless config.json has one, and whether heads may turn in
/// part.
[[nodiscard]] DecoderTraits llama_traits(const format::JsonView& config, std::string family,
                                         RotaryContext defaults = {});

[[nodiscard]] DecoderSource llama_source(const format::JsonView& config, WeightFilePtr file,
                                         DecoderTraits traits, const Habits& habits,
                                         const LlamaNames& names = llama_hf_names);

[[nodiscard]] DecoderTraits llama_traits(GgufKeys& keys, const format::WeightFile& file, std::string family);

/// Ends with keys.finish(). Biases are those that the file has.
[[nodiscard]] DecoderSource llama_source(const GgufKeys& keys, WeightFilePtr file, DecoderTraits traits,
                                         Habits habits, const LlamaNames& names = llama_gguf_names);

/// A number where null means none, 0, and a missing key the default of transformers.
[[nodiscard]] double number_or_none(const format::JsonView& config, const char* key, double if_missing);

/// `sliding_window`; null is 0, none, and a missing key `if_missing`.
[[nodiscard]] std::int64_t sliding_window(const format::JsonView& config, std::int64_t if_missing = 4096);

/// Windows from `layer_types`, one a layer: "full_attention", or "sliding_attention" for `window` tokens.
[[nodiscard]] std::vector<std::int64_t> windows_by_type(const format::JsonView& types, std::int64_t n_layers,
                                                        std::int64_t window);

}  // namespace twistor::model
