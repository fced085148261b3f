// SPDX-License-Identifier: Apache-2.0
// GPT-2 and GPT-Neo: learned positions, layer norms with biases, a plain MLP, a tied head.
#include <cmath>

#include "parts.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::model {
namespace {

/// What the two call differently in config.json.
struct Keys {
  const char *width, *layers, *heads, *context, *inner;
};

void read_sizes(const format::JsonView& config, const Keys& keys, DecoderTraits& t) {
  t.width = config.at(keys.width).integer(1, most_width);
  t.n_layers = config.at(keys.layers).integer(1, most_layers);
  t.n_heads = t.n_kv_heads = config.at(keys.heads).integer(1, t.width);
  t.context = config.at(keys.context).integer(1, most_tokens);
  t.vocab_size = config.at("vocab_size").integer(1, most_tokens);
  if (t.width % t.n_heads != 0) config.at(keys.heads).fail(std::string(keys.width) + " is no multiple of it");
  t.head_size = t.width / t.n_heads;
  const auto inner = config.find(keys.inner);
  t.feed_forward = inner ? inner->integer(1, most_width) : 4 * t.width;
  if (const auto eps = config.find("layer_norm_epsilon")) t.norm_eps = positive_number(*eps);
  if (const auto activation = config.find("activation_function"))
    t.activation = activation_named(*activation);
}

/// All but the layers' matrices.
void find_frame(TensorSearch& search, const std::string& prefix, const format::JsonView& config,
                DecoderSource& s) {
  const DecoderTraits& t = s.traits;
  s.embedding = search.need(prefix + "wte.weight", {t.vocab_size, t.width});
  s.positions = search.need(prefix + "wpe.weight", {t.context, t.width});
  s.head = find_head(search, *s.file, "lm_head.weight", s, flag(config, "tie_word_embeddings", true));
  s.final_norm = find_norm(search, prefix + "ln_f", t.width, true);
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = prefix + "h." + std::to_string(i) + ".";
    LayerSource& layer = s.layers.emplace_back();
    layer.attention_norm = find_norm(search, at + "ln_1", t.width, true);
    layer.mlp_norm = find_norm(search, at + "ln_2", t.width, true);
  }
}

/// Whether each layer sees the local window alone, from pairs [[kinds...], repetitions].
std::vector<bool> local_layers(const format::JsonView& config, std::int64_t n_layers) {
  std::vector<bool> result;
  const format::JsonView types = config.at("attention_types");
  for (std::size_t i = 0; i < types.array_size(); ++i) {
    const format::JsonView kinds = types.item(i).item(0);
    const std::int64_t count = types.item(i).item(1).integer(0, n_layers);
    for (std::int64_t repeat = 0; repeat < count; ++repeat)
      for (std::size_t k = 0; k < kinds.array_size(); ++k) {
        const std::string& kind = kinds.item(k).string();
        if (kind != "global" && kind != "local")
          kinds.item(k).fail("expected \"global\" or \"local\", got " + format::quote(kind));
        result.push_back(kind == "local");
        if (static_cast<std::int64_t>(result.size()) > n_layers)
          types.fail("names more than the model's " + std::to_string(n_layers) + " layers");
      }
  }
  if (static_cast<std::int64_t>(result.size()) != n_layers)
    types.fail("names " + std::to_string(result.size()) + " layers, the model has " +
               std::to_string(n_layers));
  if (const auto layers = config.find("attention_layers"))  // the same, expanded
    for (std::size_t i = 0; i < result.size(); ++i)
      if (layers->item(i).string() != (result[i] ? "local" : "global"))
        layers->item(i).fail("says otherwise than attention_types");
  return result;
}

}  // namespace

DecoderSource gpt2_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  t.family = "GPT-2";
  read_sizes(config, {"n_embd", "n_layer", "n_head", "n_positions", "n_inner"}, t);
  // (reorder_and_upcast_attn changes rounding in half precision only, so it may be set.)
  const double scale =
      flag(config, "scale_attn_weights", true) ? 1.0 / std::sqrt(static_cast<double>(t.head_size)) : 1.0;
  const bool is_scaled_by_layer = flag(config, "scale_attn_by_inverse_layer_idx", false);
  s.file = std::move(file);
  TensorSearch search(*s.file);
  const std::string prefix = prefix_of(*s.file, {"transformer.", ""}, "wte.weight");
  find_frame(search, prefix, config, s);
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = prefix + "h." + std::to_string(i) + ".";
    const auto matrix = [&](const std::string& name, std::int64_t in, std::int64_t out) {
      return MatrixSource{
          {{search.need(at + name + ".weight", {in, out}), search.need(at + name + ".bias", {out})}}, true};
    };
    LayerSource& layer = s.layers[static_cast<std::size_t>(i)];
    layer.attention_scale = is_scaled_by_layer ? scale / static_cast<double>(i + 1) : scale;
    layer.qkv = matrix("attn.c_attn", t.width, 3 * t.width);
    layer.out = matrix("attn.c_proj", t.width, t.width);
    layer.up = matrix("mlp.c_fc", t.width, t.feed_forward);
    layer.down = matrix("mlp.c_proj", t.feed_forward, t.width);
  }
  search.finish();
  return s;
}

DecoderSource gpt_neo_from_config(const format::JsonView& config, WeightFilePtr file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  t.family = "GPT-Neo";
  read_sizes(config,
             {"hidden_size", "num_layers", "num_heads", "max_position_embeddings", "intermediate_size"}, t);
  const std::vector<bool> is_local = local_layers(config, t.n_layers);
  const auto window_key = config.find("window_size");
  const std::int64_t window = window_key ? window_key->integer(1, most_tokens) : 256;
  s.file = std::move(file);
  TensorSearch search(*s.file);
  const std::string prefix = prefix_of(*s.file, {"transformer.", ""}, "wte.weight");
  find_frame(search, prefix, config, s);
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = prefix + "h." + std::to_string(i) + ".", attention = at + "attn.attention.";
    const std::int64_t d = t.width;
    LayerSource& layer = s.layers[static_cast<std::size_t>(i)];
    layer.attention_scale = 1.0;  // the family does without 1 / sqrt(head_size)
    if (is_local[static_cast<std::size_t>(i)]) layer.window = window;
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      layer.qkv.parts.push_back(find_linear(search, attention + name, d, d, false));
    layer.out.parts = {find_linear(search, attention + "out_proj", d, d, true)};
    layer.up.parts = {find_linear(search, at + "mlp.c_fc", t.feed_forward, d, true)};
    layer.down.parts = {find_linear(search, at + "mlp.c_proj", d, t.feed_forward, true)};
  }
  search.finish();
  return s;
}

}  // namespace twistor::model
