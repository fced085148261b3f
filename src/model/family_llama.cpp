// Llama: RMS norms, rotary positions, gated SiLU, grouped heads, no biases.
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "family_parts.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

/// The names under which one layout keeps the tensors of a Llama.
struct Names {
  const char *embedding, *final_norm, *head, *layer;
  const char *attention_norm, *mlp_norm, *q, *k, *v, *out, *gate, *up, *down;
};
constexpr Names hf_names{"model.embed_tokens.weight",
                         "model.norm",
                         "lm_head.weight",
                         "model.layers.{}.",
                         "input_layernorm",
                         "post_attention_layernorm",
                         "self_attn.q_proj",
                         "self_attn.k_proj",
                         "self_attn.v_proj",
                         "self_attn.o_proj",
                         "mlp.gate_proj",
                         "mlp.up_proj",
                         "mlp.down_proj"};
constexpr Names gguf_names{"token_embd.weight", "output_norm", "output.weight", "blk.{}.", "attn_norm",
                           "ffn_norm",          "attn_q",      "attn_k",        "attn_v",  "attn_output",
                           "ffn_gate",          "ffn_up",      "ffn_down"};

void find_tensors(TensorSearch& search, DecoderSource& s, const Names& names) {
  const DecoderTraits& t = s.traits;
  const std::int64_t d = t.width, q = t.n_heads * t.head_size, kv = t.n_kv_heads * t.head_size,
                     inner = t.feed_forward;
  s.embedding = search.need(names.embedding, {t.vocab_size, d});
  s.final_norm = find_norm(search, names.final_norm, d, false);
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = fmt::format(fmt::runtime(names.layer), i);
    const auto linear = [&](const char* name, std::int64_t n, std::int64_t k) {
      return find_linear(search, at + name, n, k, false);
    };
    LayerSource layer;
    layer.attention_scale = 1.0 / std::sqrt(static_cast<double>(t.head_size));
    layer.attention_norm = find_norm(search, at + names.attention_norm, d, false);
    layer.mlp_norm = find_norm(search, at + names.mlp_norm, d, false);
    layer.qkv.parts = {linear(names.q, q, d), linear(names.k, kv, d), linear(names.v, kv, d)};
    layer.out.parts = {linear(names.out, d, q)};
    layer.up.parts = {linear(names.gate, inner, d), linear(names.up, inner, d)};
    layer.down.parts = {linear(names.down, d, inner)};
    s.layers.push_back(std::move(layer));
  }
}

void set_common(DecoderTraits& t) {
  t.family = "Llama";
  t.norm = NormKind::rms_norm;
  t.activation = ActivationKind::silu;
  t.is_gated = true;
}

}  // namespace

DecoderSource llama_from_config(const text::JsonView& config, std::shared_ptr<const WeightFile> file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  set_common(t);
  constexpr std::int64_t most = 1 << 20;
  t.position = PositionKind::rotary_half;
  t.width = config.at("hidden_size").integer(1, most);
  t.n_layers = config.at("num_hidden_layers").integer(1, 1000);
  t.n_heads = config.at("num_attention_heads").integer(1, t.width);
  const auto kv = config.find("num_key_value_heads");
  t.n_kv_heads = kv ? kv->integer(1, t.n_heads) : t.n_heads;
  if (t.n_heads % t.n_kv_heads != 0) kv->fail("num_attention_heads is no multiple of it");
  const auto head = config.find("head_dim");
  if (!head && t.width % t.n_heads != 0)
    config.at("num_attention_heads").fail("hidden_size is no multiple of it, and head_dim is missing");
  t.head_size = head ? head->integer(1, most) : t.width / t.n_heads;
  if (t.head_size % 2 != 0) config.at("num_attention_heads").fail("rotary positions need an even head size");
  t.feed_forward = config.at("intermediate_size").integer(1, most);
  t.vocab_size = config.at("vocab_size").integer(1, 1 << 24);
  t.context = config.at("max_position_embeddings").integer(1, 1 << 24);
  t.norm_eps = config.at("rms_norm_eps").number();
  auto theta = config.find("rope_theta");
  if (const auto rope = config.find("rope_parameters")) {  // newer files keep both here
    theta = rope->find("rope_theta");
    if (const auto type = rope->find("rope_type"); type && type->string() != "default")
      type->fail("expected \"default\", got \"" + type->string() + "\"",
                 "scaled rotary positions are not supported");
  }
  if (theta) t.rope_base = theta->number();
  if (const auto scaling = config.find("rope_scaling"))
    scaling->fail("scaled rotary positions are not supported");
  for (const char* key : {"attention_bias", "mlp_bias"})
    if (const auto flag = config.find(key); flag && flag->boolean())
      flag->fail("biases are not supported for Llama models");
  if (const auto act = config.find("hidden_act"); act && act->string() != "silu")
    act->fail("expected \"silu\", got \"" + act->string() + "\"");
  s.file = std::move(file);
  TensorSearch search(*s.file);
  find_tensors(search, s, hf_names);
  s.head = find_head(search, *s.file, hf_names.head, s, flag(config, "tie_word_embeddings", false));
  search.finish();
  return s;
}

DecoderSource llama_from_gguf(const text::GgufFile& g, std::shared_ptr<const WeightFile> file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  set_common(t);
  const std::string doing = "reading " + g.name();
  const auto size = [&](const char* key, std::int64_t largest) {
    const std::int64_t value = g.integer(key);
    TWISTOR_CHECK(value >= 1 && value <= largest, ErrorKind::data, doing,
                  fmt::format("{} is {}, expected 1 to {}", key, value, largest));
    return value;
  };
  t.position = PositionKind::rotary_interleaved;  // the converter permutes the rows of Q and K
  t.n_layers = size("llama.block_count", 1000);
  t.width = size("llama.embedding_length", 1 << 20);
  t.n_heads = size("llama.attention.head_count", t.width);
  t.n_kv_heads =
      g.has("llama.attention.head_count_kv") ? size("llama.attention.head_count_kv", t.n_heads) : t.n_heads;
  t.feed_forward = size("llama.feed_forward_length", 1 << 20);
  t.context = size("llama.context_length", 1 << 24);
  TWISTOR_CHECK(
      t.n_heads % t.n_kv_heads == 0 && (g.has("llama.attention.key_length") || t.width % t.n_heads == 0),
      ErrorKind::data, doing,
      fmt::format("{} heads do not fit width {} and {} key-value heads", t.n_heads, t.width, t.n_kv_heads));
  t.head_size =
      g.has("llama.attention.key_length") ? size("llama.attention.key_length", 1 << 16) : t.width / t.n_heads;
  const std::int64_t rotary = g.find_integer("llama.rope.dimension_count").value_or(t.head_size);
  TWISTOR_CHECK(
      rotary == t.head_size && rotary % 2 == 0, ErrorKind::data, doing,
      fmt::format("llama.rope.dimension_count is {}, expected the head size {}, even", rotary, t.head_size),
      "partial rotary positions are not supported");
  const std::string_view scaling = g.find_string("llama.rope.scaling.type").value_or("none");
  TWISTOR_CHECK(
      scaling == "none" && !g.has("llama.rope.scale_linear") && file->find("rope_freqs.weight") == nullptr,
      ErrorKind::data, doing, "scaled rotary positions are not supported");
  t.norm_eps = g.number("llama.attention.layer_norm_rms_epsilon");
  t.rope_base = g.find_number("llama.rope.freq_base").value_or(10000.0);
  const TensorInfo* embedding = file->find(gguf_names.embedding);
  TWISTOR_CHECK(embedding != nullptr && embedding->shape.size() == 2, ErrorKind::data, doing,
                "the tensor token_embd.weight is missing or is no matrix");
  t.vocab_size = embedding->shape[0];
  s.file = std::move(file);
  TensorSearch search(*s.file);
  find_tensors(search, s, gguf_names);
  s.head = search.find(gguf_names.head, {t.vocab_size, t.width});
  search.finish();
  return s;
}

}  // namespace twistor::model
