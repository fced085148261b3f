// SPDX-License-Identifier: Apache-2.0
// Llama and its relatives Mistral, Qwen2 and Gemma 2: RMS norms, rotary positions, gated MLP, grouped heads.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "rope.hpp"

namespace twistor::model {
namespace {

/// The names under which one layout keeps the tensors of a Llama.
struct LlamaNames {
  const char *embedding, *final_norm, *head, *layer;
  const char *attention_norm, *mlp_norm, *q, *k, *v, *out, *gate, *up, *down;
  const char *attention_post_norm = nullptr, *mlp_post_norm = nullptr;  // where the family has them
};
constexpr LlamaNames llama_hf_names{"embed_tokens.weight", "norm",
                                    "lm_head.weight",      "layers.{}.",
                                    "input_layernorm",     "post_attention_layernorm",
                                    "self_attn.q_proj",    "self_attn.k_proj",
                                    "self_attn.v_proj",    "self_attn.o_proj",
                                    "mlp.gate_proj",       "mlp.up_proj",
                                    "mlp.down_proj"};
constexpr LlamaNames llama_gguf_names{
    "token_embd.weight", "output_norm", "output.weight", "blk.{}.", "attn_norm",
    "ffn_norm",          "attn_q",      "attn_k",        "attn_v",  "attn_output",
    "ffn_gate",          "ffn_up",      "ffn_down"};

/// Gemma 2 has norms before and after both branches; the name of one changes its place.
constexpr LlamaNames gemma2_names() {
  LlamaNames names = llama_hf_names;
  names.mlp_norm = "pre_feedforward_layernorm";
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}

struct Biases {
  bool qkv = false, out = false, mlp = false;
};

/// What the relatives do differently.
struct Habits {
  Biases biases;
  std::vector<std::int64_t> windows;  // one a layer, or empty
  double attention_scale = 0;         // 0: 1 / sqrt(head_size)
  float norm_offset = 0;              // what norms add to their weights
  bool is_tied = false;               // unless config.json says
};

LayerSource find_layer(TensorSearch& search, const DecoderTraits& t, const std::string& at,
                       const LlamaNames& names, const Habits& habits) {
  const std::int64_t d = t.width, q = t.n_heads * t.head_size, kv = t.n_kv_heads * t.head_size,
                     inner = t.feed_forward;
  const Biases& biases = habits.biases;
  const auto linear = [&](const char* name, std::int64_t n, std::int64_t k, bool has_bias) {
    return find_linear(search, at + name, n, k, has_bias);
  };
  const auto norm = [&](const char* name) {
    if (name == nullptr) return NormSource{};
    NormSource found = find_norm(search, at + name, d, false);
    found.offset = habits.norm_offset;
    return found;
  };
  LayerSource layer;
  layer.attention_scale = habits.attention_scale != 0 ? habits.attention_scale
                                                      : 1.0 / std::sqrt(static_cast<double>(t.head_size));
  layer.attention_norm = norm(names.attention_norm);
  layer.mlp_norm = norm(names.mlp_norm);
  layer.attention_post_norm = norm(names.attention_post_norm);
  layer.mlp_post_norm = norm(names.mlp_post_norm);
  layer.qkv.parts = {linear(names.q, q, d, biases.qkv), linear(names.k, kv, d, biases.qkv),
                     linear(names.v, kv, d, biases.qkv)};
  layer.out.parts = {linear(names.out, d, q, biases.out)};
  layer.up.parts = {linear(names.gate, inner, d, biases.mlp), linear(names.up, inner, d, biases.mlp)};
  layer.down.parts = {linear(names.down, d, inner, biases.mlp)};
  return layer;
}

/// All but the head.
void find_tensors(TensorSearch& search, DecoderSource& s, const std::string& prefix, const LlamaNames& names,
                  const Habits& habits) {
  const DecoderTraits& t = s.traits;
  s.embedding = search.need(prefix + names.embedding, {t.vocab_size, t.width});
  s.final_norm = find_norm(search, prefix + names.final_norm, t.width, false);
  s.final_norm.offset = habits.norm_offset;
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    s.layers.push_back(
        find_layer(search, t, prefix + fmt::format(fmt::runtime(names.layer), i), names, habits));
    if (!habits.windows.empty()) s.layers.back().window = habits.windows[static_cast<std::size_t>(i)];
  }
}

DecoderTraits common_traits(std::string family) {
  DecoderTraits t;
  t.family = std::move(family);
  t.norm = NormKind::rms_norm;
  t.activation = ActivationKind::silu;
  t.is_gated = true;
  return t;
}

DecoderTraits traits_from_config(const format::JsonView& config, std::string family) {
  DecoderTraits t = common_traits(std::move(family));
  t.position = PositionKind::rotary_half;
  t.width = config.at("hidden_size").integer(1, most_width);
  t.n_layers = config.at("num_hidden_layers").integer(1, most_layers);
  t.n_heads = config.at("num_attention_heads").integer(1, t.width);
  const auto kv = config.find("num_key_value_heads");
  t.n_kv_heads = kv ? kv->integer(1, t.n_heads) : t.n_heads;
  if (t.n_heads % t.n_kv_heads != 0) kv->fail("num_attention_heads is no multiple of it");
  const auto head = config.find("head_dim");
  if (!head && t.width % t.n_heads != 0)
    config.at("num_attention_heads").fail("hidden_size is no multiple of it, and head_dim is missing");
  t.head_size = head ? head->integer(1, most_head_size) : t.width / t.n_heads;
  t.feed_forward = config.at("intermediate_size").integer(1, most_width);
  t.vocab_size = config.at("vocab_size").integer(1, most_tokens);
  t.context = config.at("max_position_embeddings").integer(1, most_tokens);
  t.norm_eps = positive_number(config.at("rms_norm_eps"));
  if (const auto activation = config.find("hidden_act")) t.activation = activation_named(*activation);
  RotaryContext rotary{t.head_size, t.context};
  if (const auto theta = config.find("rope_theta")) rotary.base = positive_number(*theta);
  if (const auto part = config.find("partial_rotary_factor")) rotary.fraction = part->number();
  t.rotary = rotary_from_config(config, rotary);
  return t;
}

DecoderSource source_from_config(const format::JsonView& config, WeightFilePtr file, DecoderTraits traits,
                                 const Habits& habits, const LlamaNames& names = llama_hf_names) {
  DecoderSource s;
  s.traits = std::move(traits);
  s.file = std::move(file);
  TensorSearch search(*s.file);
  const std::string prefix = prefix_of(*s.file, {"model.", ""}, names.embedding);
  find_tensors(search, s, prefix, names, habits);
  s.head = find_head(search, *s.file, names.head, s, flag(config, "tie_word_embeddings", habits.is_tied));
  search.finish();
  return s;
}

/// A number where null means none, 0, and a missing key the default of transformers.
double number_or_none(const format::JsonView& config, const char* key, double if_missing) {
  if (!config.object().contains(key)) return if_missing;
  const auto found = config.find(key);
  return found ? positive_number(*found) : 0;
}
std::int64_t sliding_window(const format::JsonView& config) {
  if (const auto window = config.find("sliding_window")) return window->integer(1, most_tokens);
  return config.object().contains("sliding_window") ? 0 : 4096;
}

/// Windows from `layer_types`, one a layer: "full_attention", or "sliding_attention" for `window` tokens.
std::vector<std::int64_t> windows_by_type(const format::JsonView& types, std::int64_t n_layers,
                                          std::int64_t window) {
  std::vector<std::int64_t> windows(static_cast<std::size_t>(n_layers), 0);
  if (types.array_size() != windows.size())
    types.fail(fmt::format("expected {} layers, got {}", n_layers, types.array_size()));
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::string& type = types.item(i).string();
    if (type == "full_attention") continue;
    if (type != "sliding_attention") types.item(i).fail("expected full_attention or sliding_attention");
    if (window == 0) types.item(i).fail("asks for a window, but the configuration gives none");
    windows[i] = window;
  }
  return windows;
}

/// Qwen2's windows, without `layer_types`: in all layers from `max_window_layers` on.
std::vector<std::int64_t> qwen2_windows(const format::JsonView& config, std::int64_t n_layers) {
  const std::int64_t window = flag(config, "use_sliding_window", false) ? sliding_window(config) : 0;
  if (const auto types = config.find("layer_types")) return windows_by_type(*types, n_layers, window);
  std::vector<std::int64_t> windows(static_cast<std::size_t>(n_layers), 0);
  const auto first = config.find("max_window_layers");
  for (std::int64_t i = first ? first->integer(0) : 28; i < n_layers; ++i)
    windows[static_cast<std::size_t>(i)] = window;
  return windows;
}

/// Gemma 2's, without `layer_types`: in every second layer from the first on.
std::vector<std::int64_t> gemma2_windows(const format::JsonView& config, std::int64_t n_layers) {
  const std::int64_t window = sliding_window(config);
  if (const auto types = config.find("layer_types")) return windows_by_type(*types, n_layers, window);
  std::vector<std::int64_t> windows(static_cast<std::size_t>(n_layers), 0);
  for (std::size_t i = 0; i < windows.size(); i += 2) windows[i] = window;
  return windows;
}

DecoderTraits traits_from_gguf(GgufKeys& keys, const format::WeightFile& file, std::string family) {
  DecoderTraits t = common_traits(std::move(family));
  t.n_layers = keys.size("block_count", most_layers);
  t.width = keys.size("embedding_length", most_width);
  t.n_heads = keys.size("attention.head_count", t.width);
  t.n_kv_heads = keys.find_size("attention.head_count_kv", t.n_heads).value_or(t.n_heads);
  t.feed_forward = keys.size("feed_forward_length", most_width);
  t.context = keys.size("context_length", most_tokens);
  if (t.n_heads % t.n_kv_heads != 0)
    keys.fail("attention.head_count_kv",
              fmt::format("is {}, which does not divide {} heads", t.n_kv_heads, t.n_heads));
  const auto head_size = keys.find_size("attention.key_length", most_head_size);
  if (!head_size && t.width % t.n_heads != 0)
    keys.fail("attention.head_count",
              fmt::format("is {}, which does not divide the width {}", t.n_heads, t.width));
  t.head_size = head_size.value_or(t.width / t.n_heads);
  const auto value_size = keys.find_size("attention.value_length", most_head_size);
  if (value_size && *value_size != t.head_size)
    keys.fail("attention.value_length",
              fmt::format("is {}, expected that of keys, {}", *value_size, t.head_size));
  t.norm_eps = keys.positive("attention.layer_norm_rms_epsilon");
  t.rotary = rotary_from_gguf(keys, file, t.head_size);
  t.vocab_size = vocabulary_of(keys, file, llama_gguf_names.embedding);
  keys.ignore({"tensor_data_layout"});
  return t;
}

DecoderSource source_from_gguf(const GgufKeys& keys, WeightFilePtr file, DecoderTraits traits,
                               bool needs_qkv_bias) {
  DecoderSource s;
  s.traits = std::move(traits);
  s.file = std::move(file);
  keys.finish();
  const auto has = [&](const char* name) { return s.file->find(name) != nullptr; };
  const Biases biases{needs_qkv_bias || has("blk.0.attn_q.bias"), has("blk.0.attn_output.bias"),
                      has("blk.0.ffn_down.bias")};
  TensorSearch search(*s.file);
  find_tensors(search, s, "", llama_gguf_names, {biases, {}});
  s.head = search.find(llama_gguf_names.head, {s.traits.vocab_size, s.traits.width});
  search.finish();
  return s;
}

}  // namespace

DecoderSource llama_from_config(const format::JsonView& config, WeightFilePtr file) {
  const bool attention = flag(config, "attention_bias", false), mlp = flag(config, "mlp_bias", false);
  return source_from_config(config, std::move(file), traits_from_config(config, "Llama"),
                            {{attention, attention, mlp}, {}});
}

DecoderSource mistral_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits traits = traits_from_config(config, "Mistral");
  const std::vector<std::int64_t> windows(static_cast<std::size_t>(traits.n_layers), sliding_window(config));
  return source_from_config(config, std::move(file), std::move(traits), {{}, windows});
}

DecoderSource qwen2_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits traits = traits_from_config(config, "Qwen2");
  const std::vector<std::int64_t> windows = qwen2_windows(config, traits.n_layers);
  return source_from_config(config, std::move(file), std::move(traits), {{true, false, false}, windows});
}

DecoderSource gemma2_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = traits_from_config(config, "Gemma 2");
  t.activation = ActivationKind::gelu_tanh;  // hidden_act does not count here
  if (const auto activation = config.find("hidden_activation")) t.activation = activation_named(*activation);
  t.embedding_scale = std::sqrt(static_cast<double>(t.width));
  t.attention_cap = number_or_none(config, "attn_logit_softcapping", 50.0);
  t.logit_cap = number_or_none(config, "final_logit_softcapping", 30.0);
  if (flag(config, "use_bidirectional_attention", false))
    config.at("use_bidirectional_attention").fail("the model is not a decoder");
  const bool has_bias = flag(config, "attention_bias", false);
  Habits habits{{has_bias, has_bias, false}, gemma2_windows(config, t.n_layers)};
  habits.attention_scale = 1.0 / std::sqrt(positive_number(config.at("query_pre_attn_scalar")));
  habits.norm_offset = 1;
  habits.is_tied = true;
  return source_from_config(config, std::move(file), std::move(t), habits, gemma2_names());
}

DecoderSource llama_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits traits = traits_from_gguf(keys, *file, "Llama");
  traits.position = PositionKind::rotary_interleaved;  // the converter permutes the rows of Q and K
  return source_from_gguf(keys, std::move(file), std::move(traits), false);
}

DecoderSource qwen2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits traits = traits_from_gguf(keys, *file, "Qwen2");
  traits.position = PositionKind::rotary_half;
  return source_from_gguf(keys, std::move(file), std::move(traits), true);
}

}  // namespace twistor::model
