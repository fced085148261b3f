// Llama: RMS norms, rotary positions, gated SiLU, grouped heads, no biases.
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "families.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {
namespace {

/// The names under which one layout keeps the tensors of a Llama.
struct Names {
  const char *embedding, *final_norm, *head, *layer;
  const char *attention_norm, *mlp_norm, *q, *k, *v, *out, *gate, *up, *down;
};
constexpr Names hf_names{
    "model.embed_tokens.weight", "model.norm.weight",       "lm_head.weight",
    "model.layers.{}.",          "input_layernorm.weight",  "post_attention_layernorm.weight",
    "self_attn.q_proj.weight",   "self_attn.k_proj.weight", "self_attn.v_proj.weight",
    "self_attn.o_proj.weight",   "mlp.gate_proj.weight",    "mlp.up_proj.weight",
    "mlp.down_proj.weight"};
constexpr Names gguf_names{"token_embd.weight", "output_norm.weight", "output.weight",   "blk.{}.",
                           "attn_norm.weight",  "ffn_norm.weight",    "attn_q.weight",   "attn_k.weight",
                           "attn_v.weight",     "attn_output.weight", "ffn_gate.weight", "ffn_up.weight",
                           "ffn_down.weight"};

void find_tensors(DecoderSource& s, const WeightFile& f, const Names& names) {
  const DecoderTraits& t = s.traits;
  const std::int64_t d = t.width, q = t.n_heads * t.head_size, kv = t.n_kv_heads * t.head_size,
                     inner = t.feed_forward;
  s.embedding = &require_tensor(f, "", names.embedding, {t.vocab_size, d});
  s.final_norm.weight = &require_tensor(f, "", names.final_norm, {d});
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = fmt::format(fmt::runtime(names.layer), i);
    const auto tensor = [&](const char* name, std::initializer_list<std::int64_t> shape) {
      return MatrixSource::Part{&require_tensor(f, at, name, shape), nullptr};
    };
    LayerSource layer;
    layer.attention_norm.weight = tensor(names.attention_norm, {d}).weight;
    layer.mlp_norm.weight = tensor(names.mlp_norm, {d}).weight;
    layer.qkv.parts = {tensor(names.q, {q, d}), tensor(names.k, {kv, d}), tensor(names.v, {kv, d})};
    layer.out.parts = {tensor(names.out, {d, q})};
    layer.up.parts = {tensor(names.gate, {inner, d}), tensor(names.up, {inner, d})};
    layer.down.parts = {tensor(names.down, {d, inner})};
    s.layers.push_back(std::move(layer));
  }
}

void set_common(DecoderTraits& t) {
  t.family = "Llama";
  t.norm = NormKind::rms_norm;
  t.activation = ActivationKind::silu_gated;
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
  find_tensors(s, *file, hf_names);
  const auto tied = config.find("tie_word_embeddings");
  if (!tied || !tied->boolean()) s.head = &require_tensor(*file, "", hf_names.head, {t.vocab_size, t.width});
  s.file = std::move(file);
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
  find_tensors(s, *file, gguf_names);
  if (file->find(gguf_names.head) != nullptr)
    s.head = &require_tensor(*file, "", gguf_names.head, {t.vocab_size, t.width});
  s.file = std::move(file);
  return s;
}

}  // namespace twistor::model
