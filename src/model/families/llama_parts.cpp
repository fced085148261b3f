// SPDX-License-Identifier: Apache-2.0
// Where Llama's relatives have their sizes and tensors.
#include "llama_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace twistor::model {
namespace {

LayerSource find_layer(TensorSearch& search, const DecoderTraits& t, const std::string& at,
                       const LlamaNames& names, const Habits& habits) {
  const std::int64_t d = t.width, q = t.n_heads * t.head_size, kv = t.n_kv_heads * t.head_size,
                     inner = t.feed_forward;
  const Biases& biases = habits.biases;
  const auto linear = [&](const char* name, std::int64_t n, std::int64_t k, bool has_bias) {
    return find_linear(search, at + name, n, k, has_bias);
  };
  const auto norm = [&](const char* name, std::int64_t width) {
    if (name == nullptr) return NormSource{};
    NormSource found = find_norm(search, at + name, width, false);
    found.offset = habits.norm_offset;
    return found;
  };
  LayerSource layer;
  layer.attention_scale = habits.attention_scale != 0 ? habits.attention_scale
                                                      : 1.0 / std::sqrt(static_cast<double>(t.head_size));
  layer.attention_norm = norm(names.attention_norm, d);
  layer.mlp_norm = norm(names.mlp_norm, d);
  layer.attention_post_norm = norm(names.attention_post_norm, d);
  layer.mlp_post_norm = norm(names.mlp_post_norm, d);
  layer.q_norm = norm(names.q_norm, habits.norms_all_heads ? q : t.head_size);
  layer.k_norm = norm(names.k_norm, habits.norms_all_heads ? kv : t.head_size);
  if (names.qkv != nullptr)
    layer.qkv.parts = {linear(names.qkv, q + 2 * kv, d, biases.qkv)};
  else
    layer.qkv.parts = {linear(names.q, q, d, biases.qkv), linear(names.k, kv, d, biases.qkv),
                       linear(names.v, kv, d, biases.qkv)};
  layer.out.parts = {linear(names.out, d, q, biases.out)};
  if (names.gate_up != nullptr)
    layer.up.parts = {linear(names.gate_up, 2 * inner, d, biases.mlp)};
  else
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
  s.final_norm.scale = habits.final_norm_scale;
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    s.layers.push_back(
        find_layer(search, t, prefix + fmt::format(fmt::runtime(names.layer), i), names, habits));
    const auto layer = static_cast<std::size_t>(i);
    s.layers.back().rotary = habits.rotaries.empty() ? 0 : habits.rotaries[layer];
    if (!habits.windows.empty()) s.layers.back().window = habits.windows[layer];
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

}  // namespace

DecoderTraits llama_sizes(const format::JsonView& config, std::string family) {
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
  return t;
}

DecoderTraits llama_traits(const format::JsonView& config, std::string family, RotaryContext defaults) {
  DecoderTraits t = llama_sizes(config, std::move(family));
  defaults.head_size = t.head_size;
  defaults.context = t.context;
  if (const auto theta = config.find("rope_theta")) defaults.base = positive_number(*theta);
  if (const auto part = config.find("partial_rotary_factor")) defaults.fraction = part->number();
  t.rotaries = {rotary_from_config(config, defaults)};
  t.long_rotary = long_rotary_from_config(config, defaults);
  if (t.long_rotary) t.long_context = t.context;
  t.context = rotary_limit(config, t.context);
  return t;
}

DecoderSource llama_source(const format::JsonView& config, WeightFilePtr file, DecoderTraits traits,
                           const Habits& habits, const LlamaNames& names) {
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

double number_or_none(const format::JsonView& config, const char* key, double if_missing) {
  if (!config.object().contains(key)) return if_missing;
  const auto found = config.find(key);
  return found ? positive_number(*found) : 0;
}

std::int64_t sliding_window(const format::JsonView& config, std::int64_t if_missing) {
  if (const auto window = config.find("sliding_window")) return window->integer(1, most_tokens);
  return config.object().contains("sliding_window") ? 0 : if_missing;
}

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

DecoderTraits llama_traits(GgufKeys& keys, const format::WeightFile& file, std::string family) {
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
  t.rotaries = {rotary_from_gguf(keys, file, t.head_size)};
  t.long_rotary = long_rotary_from_gguf(keys, file, t.head_size, t.context);
  if (t.long_rotary) t.long_context = t.context;
  t.context = rotary_limit(keys, file, t.context);
  t.vocab_size = vocabulary_of(keys, file, llama_gguf_names.embedding);
  keys.ignore({"tensor_data_layout"});
  return t;
}

DecoderSource llama_source(const GgufKeys& keys, WeightFilePtr file, DecoderTraits traits, Habits habits,
                           const LlamaNames& names) {
  DecoderSource s;
  s.traits = std::move(traits);
  s.file = std::move(file);
  keys.finish();
  const auto has = [&](const char* name) {
    return name != nullptr && s.file->find(fmt::format("blk.0.{}.bias", name)) != nullptr;
  };
  habits.biases.qkv |= has(names.qkv != nullptr ? names.qkv : names.q);
  habits.biases.out |= has(names.out);
  habits.biases.mlp |= has(names.down);
  TensorSearch search(*s.file);
  find_tensors(search, s, "", names, habits);
  s.head = search.find(names.head, {s.traits.vocab_size, s.traits.width});
  search.finish();
  return s;
}

}  // namespace twistor::model
