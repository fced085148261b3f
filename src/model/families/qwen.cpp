// SPDX-License-Identifier: Apache-2.0
// Qwen2 (biases of queries, keys and values) and Qwen3 (norms of queries and keys, head by head).
#include <nlohmann/json.hpp>

#include "llama_parts.hpp"

namespace twistor::model {
namespace {

/// Without `layer_types`: in all layers from `max_window_layers` on.
std::vector<std::int64_t> qwen_windows(const format::JsonView& config, std::int64_t n_layers) {
  const std::int64_t window = flag(config, "use_sliding_window", false) ? sliding_window(config) : 0;
  if (const auto types = config.find("layer_types")) return windows_by_type(*types, n_layers, window);
  std::vector<std::int64_t> windows(static_cast<std::size_t>(n_layers), 0);
  const auto first = config.find("max_window_layers");
  for (std::int64_t i = first ? first->integer(0) : 28; i < n_layers; ++i)
    windows[static_cast<std::size_t>(i)] = window;
  return windows;
}

constexpr LlamaNames with_head_norms(LlamaNames names, const char* q_norm, const char* k_norm) {
  names.q_norm = q_norm;
  names.k_norm = k_norm;
  return names;
}

}  // namespace

DecoderSource qwen2_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderTraits t = llama_traits(config, "Qwen2");
  const Habits habits{.biases = {true, false, false}, .windows = qwen_windows(config, t.n_layers)};
  return llama_source(config, std::move(file), std::move(t), habits);
}

DecoderSource qwen3_from_config(const format::JsonView& config, WeightFilePtr file) {
  static_cast<void>(config.at("head_dim"));  // which has nothing to do with hidden_size here
  DecoderTraits t = llama_traits(config, "Qwen3");
  const bool has_bias = flag(config, "attention_bias", false);
  const Habits habits{.biases = {has_bias, has_bias, false}, .windows = qwen_windows(config, t.n_layers)};
  return llama_source(config, std::move(file), std::move(t), habits,
                      with_head_norms(llama_hf_names, "self_attn.q_norm", "self_attn.k_norm"));
}

DecoderSource qwen2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Qwen2");
  t.position = PositionKind::rotary_half;
  return llama_source(keys, std::move(file), std::move(t), {.biases = {true, false, false}});
}

DecoderSource qwen3_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t = llama_traits(keys, *file, "Qwen3");
  t.position = PositionKind::rotary_half;
  return llama_source(keys, std::move(file), std::move(t), {},
                      with_head_norms(llama_gguf_names, "attn_q_norm", "attn_k_norm"));
}

}  // namespace twistor::model
