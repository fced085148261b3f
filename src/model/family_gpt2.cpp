// GPT-2: learned positions, layer norms with biases, fused query-key-value stored (in, out), tied head.
#include <initializer_list>

#include "families.hpp"
#include "twistor/base/error.hpp"

namespace twistor::model {

DecoderSource gpt2_from_config(const text::JsonView& config, std::shared_ptr<const WeightFile> file) {
  DecoderSource s;
  DecoderTraits& t = s.traits;
  constexpr std::int64_t most = 1 << 20;
  t.family = "GPT-2";
  t.width = config.at("n_embd").integer(1, most);
  t.n_layers = config.at("n_layer").integer(1, 1000);
  t.n_heads = t.n_kv_heads = config.at("n_head").integer(1, t.width);
  t.context = config.at("n_positions").integer(1, 1 << 24);
  t.vocab_size = config.at("vocab_size").integer(1, 1 << 24);
  if (t.width % t.n_heads != 0) config.at("n_head").fail("n_embd is no multiple of n_head");
  t.head_size = t.width / t.n_heads;
  const auto inner = config.find("n_inner");
  t.feed_forward = inner ? inner->integer(1, most) : 4 * t.width;
  if (const auto eps = config.find("layer_norm_epsilon")) t.norm_eps = eps->number();
  if (const auto act = config.find("activation_function"); act && act->string() != "gelu_new")
    act->fail("expected \"gelu_new\", got \"" + act->string() + "\"",
              "this activation is not supported for GPT-2 models");
  // (reorder_and_upcast_attn changes rounding in half precision only, so it may be set.)
  if (const auto flag = config.find("scale_attn_by_inverse_layer_idx"); flag && flag->boolean())
    flag->fail("attention scaled by the layer's index is not supported");

  const WeightFile& f = *file;
  const std::string prefix = f.find("transformer.wte.weight") != nullptr ? "transformer." : "";
  const std::int64_t d = t.width, inner_width = t.feed_forward;
  s.embedding = &require_tensor(f, prefix, "wte.weight", {t.vocab_size, d});
  s.positions = &require_tensor(f, prefix, "wpe.weight", {t.context, d});
  s.head = f.find("lm_head.weight");
  s.final_norm = {&require_tensor(f, prefix, "ln_f.weight", {d}),
                  &require_tensor(f, prefix, "ln_f.bias", {d})};
  for (std::int64_t i = 0; i < t.n_layers; ++i) {
    const std::string at = prefix + "h." + std::to_string(i) + ".";
    const auto norm = [&](const std::string& name) {
      return NormSource{&require_tensor(f, at, name + ".weight", {d}),
                        &require_tensor(f, at, name + ".bias", {d})};
    };
    const auto matrix = [&](const std::string& name, std::int64_t in, std::int64_t out) {
      return MatrixSource{{{&require_tensor(f, at, name + ".weight", {in, out}),
                            &require_tensor(f, at, name + ".bias", {out})}},
                          true};
    };
    s.layers.push_back({norm("ln_1"), norm("ln_2"), matrix("attn.c_attn", d, 3 * d),
                        matrix("attn.c_proj", d, d), matrix("mlp.c_fc", d, inner_width),
                        matrix("mlp.c_proj", inner_width, d)});
  }
  s.file = std::move(file);
  return s;
}

}  // namespace twistor::model
