// SPDX-License-Identifier: Apache-2.0
// Llama, and those of its relatives that change little: Mistral, SmolLM3, Granite, OLMo 2, Phi-3.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "llama_parts.hpp"

namespace twistor::model {
namespace {

Biases biases_from_config(const format::JsonView& config) {
  const bool attention = flag(config, "attention_bias", false), mlp = flag(config, "mlp_bias", false);
  return {attention, attention, mlp};
}

/// SmolLM3: which layers turn queries and keys. `no_rope_layers` has 1 for those that do.
std::vector<std::int64_t> smollm3_rotaries(const format::JsonView& config, std::int64_t n_layers) {
  const auto listed = config.find("no_rope_layers");
  if (listed && static_cast<std::int64_t>(listed->array_size()) < n_layers)
    listed->fail(fmt::format("expected {} layers, got {}", n_layers, listed->array_size()));
  const auto interval = config.find("no_rope_layer_interval");
  const std::int64_t every = interval ? interval->integer(1) : 4;
  std::vector<std::int64_t> rotaries;
  for (std::int64_t i = 0; i < n_layers; ++i) {
    const bool turns =
        listed ? listed->item(static_cast<std::size_t>(i)).integer(0, 1) == 1 : (i + 1) % every != 0;
    rotaries.push_back(turns ? 0 : device::no_rotary);
  }
  return rotaries;
}

/// SmolLM3's windows, if it has any: those of `layer_types`, else of the layers without positions.
std::vector<std::int64_t> smollm3_windows(const format::JsonView& config,
                                          const std::vector<std::int64_t>& rotaries) {
  if (!flag(config, "use_sliding_window", false)) return {};
  const std::int64_t window = sliding_window(config, 0);
  if (const auto types = config.find("layer_types"))
    return windows_by_type(*types, static_cast<std::int64_t>(rotaries.size()), window);
  std::vector<std::int64_t> windows;
  for (const std::int64_t rotary : rotaries) windows.push_back(rotary == device::no_rotary ? window : 0);
  return windows;
}

/// OLMo 2 normalises what branches give, not what they read.
constexpr LlamaNames with_post_norms(LlamaNames names, const char* attention, const char* mlp,
                                     const char* q_norm, const char* k_norm) {
  names.attention_norm = names.mlp_norm = nullptr;
  names.attention_post_norm = attention;
  names.mlp_post_norm = mlp;
  names.q_norm = q_norm;
  names.k_norm = k_norm;
  return names;
}

constexpr LlamaNames with_fused_matrices(LlamaNames names, const char* qkv, const char* gate_up) {
  names.qkv = qkv;
  names.gate_up = gate_up;
  return names;
}

std::vector<std::int64_t> in_all_layers(std::int64_t n_layers, std::int64_t window) {
  return std::vector<std::int64_t>(static_cast<std::size_t>(n_layers), window);
}

double number_or_one(const format::JsonView& config, const char* key) {
  const auto found = config.find(key);
  return found ? positive_number(*found) : 1.0;
}

}  // namespace

DecoderSource llama_from_config(const format::JsonView& config, WeightFilePtr file) {
  return llama_source(config, std::move(file), llama_traits(config, "Llama"),
                      {.biases = biases_from_config(config)});
}

DecoderSource mistral_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "Mistral");
  const Habits habits{.windows = in_all_layers(t.n_layers, sliding_window(config))};
  return llama_source(config, std::move(file), std::move(t), habits);
}

DecoderSource smollm3_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "SmolLM3", {.base = 2e6});
  Habits habits{.biases = biases_from_config(config), .is_tied = true};
  habits.rotaries = smollm3_rotaries(config, t.n_layers);
  habits.windows = smollm3_windows(config, habits.rotaries);
  return llama_source(config, std::move(file), std::move(t), habits);
}

DecoderSource granite_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "Granite");
  t.embedding_scale = number_or_one(config, "embedding_multiplier");
  t.branch_scale = number_or_one(config, "residual_multiplier");
  // Hidden states are those that the output matrix multiplies: what divides logits is in the last norm.
  const Habits habits{.biases = biases_from_config(config),
                      .attention_scale = number_or_one(config, "attention_multiplier"),
                      .final_norm_scale = static_cast<float>(1 / number_or_one(config, "logits_scaling"))};
  return llama_source(config, std::move(file), std::move(t), habits);
}

DecoderSource olmo2_from_config(const format::JsonView& config, WeightFilePtr file) {
  const bool has_bias = flag(config, "attention_bias", false);
  return llama_source(config, std::move(file), llama_traits(config, "OLMo 2"),
                      {.biases = {has_bias, has_bias, false}, .norms_all_heads = true},
                      with_post_norms(llama_hf_names, "post_attention_layernorm",
                                      "post_feedforward_layernorm", "self_attn.q_norm", "self_attn.k_norm"));
}

DecoderSource phi3_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "Phi-3", {.may_be_partial = true});
  const Habits habits{.windows = in_all_layers(t.n_layers, sliding_window(config, 0))};
  return llama_source(config, std::move(file), std::move(t), habits,
                      with_fused_matrices(llama_hf_names, "self_attn.qkv_proj", "mlp.gate_up_proj"));
}

DecoderSource llama_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Llama");
  t.position = PositionKind::rotary_interleaved;  // the converter permutes the rows of Q and K
  return llama_source(keys, std::move(file), std::move(t), {});
}

DecoderSource smollm3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "SmolLM3");
  t.position = PositionKind::rotary_interleaved;
  Habits habits;  // no key says so: every fourth layer is without positions
  for (std::int64_t i = 0; i < t.n_layers; ++i)
    habits.rotaries.push_back((i + 1) % 4 != 0 ? 0 : device::no_rotary);
  return llama_source(keys, std::move(file), std::move(t), std::move(habits));
}

DecoderSource granite_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Granite");
  t.position = PositionKind::rotary_interleaved;
  t.embedding_scale = keys.find_positive("embedding_scale").value_or(1);
  t.branch_scale = keys.find_positive("residual_scale").value_or(1);
  Habits habits{.attention_scale = keys.find_positive("attention.scale").value_or(0)};
  habits.final_norm_scale = static_cast<float>(1 / keys.find_positive("logit_scale").value_or(1));
  return llama_source(keys, std::move(file), std::move(t), std::move(habits));
}

DecoderSource olmo2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "OLMo 2");
  t.position = PositionKind::rotary_half;
  return llama_source(keys, std::move(file), std::move(t), {.norms_all_heads = true},
                      with_post_norms(llama_gguf_names, "post_attention_norm", "post_ffw_norm", "attn_q_norm",
                                      "attn_k_norm"));
}

DecoderSource phi3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Phi-3");
  t.position = PositionKind::rotary_half;
  Habits habits{.windows = in_all_layers(t.n_layers, keys.count("attention.sliding_window", most_tokens))};
  return llama_source(keys, std::move(file), std::move(t), std::move(habits),
                      with_fused_matrices(llama_gguf_names, "attn_qkv", "ffn_up"));
}

}  // namespace twistor::model
