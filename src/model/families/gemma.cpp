// SPDX-License-Identifier: Apache-2.0
// Gemma 2 and the text part of Gemma 3: norms before and after both branches, windows in some layers.
#include <cmath>
#include <nlohmann/json.hpp>

#include "llama_parts.hpp"

namespace twistor::model {
namespace {

/// The name of one norm of a Llama is here that of another place.
constexpr LlamaNames gemma2_hf_names() {
  LlamaNames names = llama_hf_names;
  names.mlp_norm = "pre_feedforward_layernorm";
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}
constexpr LlamaNames gemma3_hf_names() {
  LlamaNames names = gemma2_hf_names();
  names.q_norm = "self_attn.q_norm";
  names.k_norm = "self_attn.k_norm";
  return names;
}
constexpr LlamaNames gemma3_gguf_names() {
  LlamaNames names = llama_gguf_names;
  names.attention_post_norm = "post_attention_norm";
  names.mlp_post_norm = "post_ffw_norm";
  names.q_norm = "attn_q_norm";
  names.k_norm = "attn_k_norm";
  return names;
}

/// What both have in config.json.
Habits gemma_habits(const format::JsonView& config, DecoderTraits& t) {
  t.activation = ActivationKind::gelu_tanh;  // hidden_act does not count here
  if (const auto activation = config.find("hidden_activation")) t.activation = activation_named(*activation);
  t.embedding_scale = std::sqrt(static_cast<double>(t.width));
  if (flag(config, "use_bidirectional_attention", false))
    config.at("use_bidirectional_attention").fail("the model is not a decoder");
  const bool has_bias = flag(config, "attention_bias", false);
  return {.biases = {has_bias, has_bias, false},
          .attention_scale = 1.0 / std::sqrt(positive_number(config.at("query_pre_attn_scalar"))),
          .norm_offset = 1,
          .is_tied = true};
}

/// Without `layer_types`: in every second layer from the first on.
std::vector<std::int64_t> gemma2_windows(const format::JsonView& config, std::int64_t n_layers) {
  const std::int64_t window = sliding_window(config);
  if (const auto types = config.find("layer_types")) return windows_by_type(*types, n_layers, window);
  std::vector<std::int64_t> windows(static_cast<std::size_t>(n_layers), 0);
  for (std::size_t i = 0; i < windows.size(); i += 2) windows[i] = window;
  return windows;
}

/// Gemma 3's layers are local but for every `every`-th.
std::vector<std::int64_t> gemma3_windows(std::int64_t n_layers, std::int64_t every, std::int64_t window) {
  std::vector<std::int64_t> windows;
  for (std::int64_t i = 0; i < n_layers; ++i) windows.push_back((i + 1) % every != 0 ? window : 0);
  return windows;
}
/// Local layers have the second of the rotary positions.
std::vector<std::int64_t> gemma3_rotary_of_layers(const std::vector<std::int64_t>& windows) {
  std::vector<std::int64_t> out;
  for (const std::int64_t window : windows) out.push_back(window != 0 ? 1 : 0);
  return out;
}

/// Rotary positions of global layers, then of local ones. transformers 5 writes a section for each, older
/// versions one for the global layers, and a base for the local ones.
std::vector<Rotary> gemma3_rotaries(const format::JsonView& config, const DecoderTraits& t) {
  RotaryContext global{t.head_size, t.context, 1e6}, local{t.head_size, t.context, 1e4};
  if (const auto theta = config.find("rope_theta")) global.base = positive_number(*theta);
  if (const auto theta = config.find("rope_local_base_freq")) local.base = positive_number(*theta);
  const auto sections = config.find("rope_parameters");
  if (sections && (sections->find("full_attention") || sections->find("sliding_attention"))) {
    if (const auto other = config.find("rope_scaling")) other->fail("rope_parameters stands beside it");
    for (const auto& [key, value] : sections->object().items())
      if (key != "full_attention" && key != "sliding_attention")
        sections->child(key, value).fail("this key of rotary positions is not supported");
    return {rotary_from_section(config, sections->find("full_attention"), global),
            rotary_from_section(config, sections->find("sliding_attention"), local)};
  }
  return {rotary_from_config(config, global), rotary_from_section(config, std::nullopt, local)};
}

}  // namespace

DecoderSource gemma2_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "Gemma 2");
  Habits habits = gemma_habits(config, t);
  t.attention_cap = number_or_none(config, "attn_logit_softcapping", 50.0);
  t.logit_cap = number_or_none(config, "final_logit_softcapping", 30.0);
  habits.windows = gemma2_windows(config, t.n_layers);
  return llama_source(config, std::move(file), std::move(t), habits, gemma2_hf_names());
}

DecoderSource gemma3_from_config(const format::JsonView& config, WeightFilePtr file) {
  static_cast<void>(config.at("head_dim"));  // which has nothing to do with hidden_size here
  DecoderTraits t = llama_sizes(config, "Gemma 3");
  t.rotaries = gemma3_rotaries(config, t);
  Habits habits = gemma_habits(config, t);
  t.attention_cap = number_or_none(config, "attn_logit_softcapping", 0);
  t.logit_cap = number_or_none(config, "final_logit_softcapping", 0);
  const auto types = config.find("layer_types"), every = config.find("sliding_window_pattern");
  habits.windows = types ? windows_by_type(*types, t.n_layers, sliding_window(config))
                         : gemma3_windows(t.n_layers, every ? every->integer(1) : 6,
                                          config.at("sliding_window").integer(1, most_tokens));
  habits.rotaries = gemma3_rotary_of_layers(habits.windows);
  return llama_source(config, std::move(file), std::move(t), habits, gemma3_hf_names());
}

DecoderSource gemma3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Gemma 3");
  t.position = PositionKind::rotary_half;
  t.activation = ActivationKind::gelu_tanh;
  t.embedding_scale = std::sqrt(static_cast<double>(t.width));
  t.logit_cap = keys.find_positive("final_logit_softcapping").value_or(0);
  const double base = keys.find_positive("rope.freq_base_swa").value_or(1e4);
  t.rotaries.push_back({t.rotaries.front()});
  t.rotaries.back().frequencies = plain_frequencies(t.head_size, base);
  Habits habits;  // the converter has added 1 to the weights of norms
  // No key says how scores are scaled; of all sizes the one of 62 layers alone does it by the width.
  if (t.n_layers == 62)
    habits.attention_scale = std::sqrt(static_cast<double>(t.n_heads) / static_cast<double>(t.width));
  habits.windows = gemma3_windows(t.n_layers, 6, keys.size("attention.sliding_window", most_tokens));
  habits.rotaries = gemma3_rotary_of_layers(habits.windows);
  return llama_source(keys, std::move(file), std::move(t), std::move(habits), gemma3_gguf_names());
}

}  // namespace twistor::model
