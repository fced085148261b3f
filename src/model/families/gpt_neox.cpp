// SPDX-License-Identifier: Apache-2.0
// GPT-NeoX and Pythia, from config.json or GGUF, and GPT-2 from GGUF, which keeps both under the same names:
// layer norms with biases and a fused query-key-value.
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "rope.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

/// The names under which one layout keeps the tensors.
struct NeoxNames {
  const char *embedding, *final_norm, *head, *layer;
  const char *attention_norm, *mlp_norm, *qkv, *out, *up, *down;
};
constexpr NeoxNames neox_hf_names{
    "embed_in.weight",   "final_layer_norm",         "embed_out.weight",          "layers.{}.",
    "input_layernorm",   "post_attention_layernorm", "attention.query_key_value", "attention.dense",
    "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"};
constexpr NeoxNames neox_gguf_names{
    "token_embd.weight", "output_norm", "output.weight", "blk.{}.", "attn_norm",
    "ffn_norm",          "attn_qkv",    "attn_output",   "ffn_up",  "ffn_down"};

/// The stored matrix keeps query, key and value of one head together; here come all queries, all keys, all
/// values.
std::vector<MatrixSource::Part> unfused(const MatrixSource::Part& fused, const DecoderTraits& t) {
  std::vector<MatrixSource::Part> parts;
  if (fused.weight == nullptr) return parts;  // the search has noted it
  for (std::int64_t kind = 0; kind < 3; ++kind)
    for (std::int64_t head = 0; head < t.n_heads; ++head)
      parts.push_back({fused.weight, fused.bias, (3 * head + kind) * t.head_size, t.head_size});
  return parts;
}

/// All but positions and head. `is_fused_by_head`: see unfused().
void find_tensors(TensorSearch& search, DecoderSource& s, const std::string& prefix, const NeoxNames& names,
                  bool has_attention_bias, bool is_fused_by_head) {
  const DecoderTraits& t = s.traits;
  const std::int64_t d = t.width;
  s.embedding = search.need(prefix + names.embedding, {t.vocab_size, d});
  s.final_norm = find_norm(search, prefix + names.final_norm, d, true);
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = prefix + fmt::format(fmt::runtime(names.layer), i);
    LayerSource& layer = s.layers.emplace_back();
    layer.rotary = t.position == PositionKind::learned ? device::no_rotary : 0;
    layer.attention_scale = 1.0 / std::sqrt(static_cast<double>(t.head_size));
    layer.attention_norm = find_norm(search, at + names.attention_norm, d, true);
    layer.mlp_norm = find_norm(search, at + names.mlp_norm, d, true);
    const MatrixSource::Part qkv = find_linear(search, at + names.qkv, 3 * d, d, has_attention_bias);
    layer.qkv.parts = is_fused_by_head ? unfused(qkv, t) : std::vector{qkv};
    layer.out.parts = {find_linear(search, at + names.out, d, d, has_attention_bias)};
    layer.up.parts = {find_linear(search, at + names.up, t.feed_forward, d, true)};
    layer.down.parts = {find_linear(search, at + names.down, d, t.feed_forward, true)};
  }
}

/// The spelling of GPT-NeoX's own configuration, or the general one; both may stand there if they agree.
double either(const format::JsonView& config, const char* own, const char* general, double otherwise) {
  const auto first = config.find(own), second = config.find(general);
  if (first && second && first->number() != second->number())
    first->fail(fmt::format("says otherwise than {}", general));
  return first ? positive_number(*first) : second ? positive_number(*second) : otherwise;
}

void read_sizes(GgufKeys& keys, const format::WeightFile& file, DecoderTraits& t) {
  t.n_layers = keys.size("block_count", most_layers);
  t.width = keys.size("embedding_length", most_width);
  t.n_heads = t.n_kv_heads = keys.size("attention.head_count", t.width);
  if (keys.find_size("attention.head_count_kv", most_width).value_or(t.n_heads) != t.n_heads)
    keys.fail("attention.head_count_kv", "differs from the number of heads, which is not supported");
  if (t.width % t.n_heads != 0)
    keys.fail("attention.head_count",
              fmt::format("is {}, which does not divide the width {}", t.n_heads, t.width));
  t.head_size = t.width / t.n_heads;
  t.feed_forward = keys.size("feed_forward_length", most_width);
  t.context = keys.size("context_length", most_tokens);
  t.norm_eps = keys.positive("attention.layer_norm_epsilon");
  t.vocab_size = vocabulary_of(keys, file, neox_gguf_names.embedding);
  keys.ignore({"tensor_data_layout"});
}

DecoderSource source_from_gguf(const GgufKeys& keys, WeightFilePtr file, DecoderTraits traits) {
  keys.finish();
  DecoderSource s;
  s.traits = std::move(traits);
  s.file = std::move(file);
  TensorSearch search(*s.file);
  find_tensors(search, s, "", neox_gguf_names, true, false);
  if (s.traits.position == PositionKind::learned)
    s.positions = search.need("position_embd.weight", {s.traits.context, s.traits.width});
  s.head = search.find(neox_gguf_names.head, {s.traits.vocab_size, s.traits.width});
  search.finish();
  return s;
}

}  // namespace

DecoderSource gpt_neox_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  t.family = "GPT-NeoX";
  t.position = PositionKind::rotary_half;
  t.activation = ActivationKind::gelu_erf;
  t.width = config.at("hidden_size").integer(1, most_width);
  t.n_layers = config.at("num_hidden_layers").integer(1, most_layers);
  t.n_heads = t.n_kv_heads = config.at("num_attention_heads").integer(1, t.width);
  if (t.width % t.n_heads != 0) config.at("num_attention_heads").fail("hidden_size is no multiple of it");
  t.head_size = t.width / t.n_heads;
  t.feed_forward = config.at("intermediate_size").integer(1, most_width);
  t.vocab_size = config.at("vocab_size").integer(1, most_tokens);
  t.context = config.at("max_position_embeddings").integer(1, most_tokens);
  if (const auto eps = config.find("layer_norm_eps")) t.norm_eps = positive_number(*eps);
  if (const auto activation = config.find("hidden_act")) t.activation = activation_named(*activation);
  t.is_parallel = flag(config, "use_parallel_residual", true);
  t.rotaries = {rotary_from_config(
      config, {t.head_size, t.context, either(config, "rotary_emb_base", "rope_theta", 10000.0),
               either(config, "rotary_pct", "partial_rotary_factor", 0.25), true})};
  s.file = std::move(file);
  TensorSearch search(*s.file);
  const std::string prefix = prefix_of(*s.file, {"gpt_neox.", ""}, neox_hf_names.embedding);
  find_tensors(search, s, prefix, neox_hf_names, flag(config, "attention_bias", true), true);
  s.head = find_head(search, *s.file, neox_hf_names.head, s, flag(config, "tie_word_embeddings", false));
  search.finish();
  return s;
}

DecoderSource gpt_neox_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t;
  t.family = "GPT-NeoX";
  t.position = PositionKind::rotary_half;
  t.activation = ActivationKind::gelu_erf;
  read_sizes(keys, *file, t);
  t.is_parallel = keys.find_boolean("use_parallel_residual").value_or(true);
  t.rotaries = {rotary_from_gguf(keys, *file, t.head_size)};
  return source_from_gguf(keys, std::move(file), std::move(t));
}

DecoderSource gpt2_from_gguf(const format::GgufFile& gguf, WeightFilePtr file) {
  GgufKeys keys(gguf);
  DecoderTraits t;
  t.family = "GPT-2";
  read_sizes(keys, *file, t);
  return source_from_gguf(keys, std::move(file), std::move(t));
}

}  // namespace twistor::model
