// SPDX-License-Identifier: Apache-2.0
// config.json and the files of the tokenizer, from the metadata of a GGUF file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>

#include "families/gguf_keys.hpp"
#include "hugging_face_layout.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/gguf_parts.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/gguf_export.hpp"

namespace twistor::model {
namespace {

using ConfigJson = nlohmann::ordered_json;

/// What config.json calls a family.
struct ExportedFamily {
  std::string_view family, model_type, architecture;
};
constexpr std::array exported_names{ExportedFamily{"Granite", "granite", "GraniteForCausalLM"},
                                    ExportedFamily{"Llama", "llama", "LlamaForCausalLM"},
                                    ExportedFamily{"OLMo 2", "olmo2", "Olmo2ForCausalLM"},
                                    ExportedFamily{"Phi-3", "phi3", "Phi3ForCausalLM"},
                                    ExportedFamily{"Qwen2", "qwen2", "Qwen2ForCausalLM"},
                                    ExportedFamily{"Qwen3", "qwen3", "Qwen3ForCausalLM"},
                                    ExportedFamily{"SmolLM3", "smollm3", "SmolLM3ForCausalLM"}};

std::vector<double> factors_in(const DecoderSource& source, const char* tensor) {
  std::vector<double> out;
  for (const float factor : format::read_f32(*source.file->find(tensor)))
    out.push_back(static_cast<double>(factor));
  return out;
}

/// A factor of a Llama 3 by its wave's turns over the original context, as rope.cpp scales them.
double llama3_factor(double frequency, double factor, double original) {
  constexpr double low = 1, high = 4;  // of every model that was published
  const double turns = original * frequency / (2 * std::numbers::pi);
  if (turns > high) return 1;
  const double mix = turns < low ? 0 : (turns - low) / (high - low);
  return 1 / ((1 - mix) / factor + mix);
}

/// The numbers of config.json that give the factors of rope_freqs.weight, which alone are in the file.
std::optional<ConfigJson> llama3_scaling(const std::vector<double>& factors, double base) {
  const double factor = *std::ranges::max_element(factors), pairs = static_cast<double>(factors.size());
  for (double original = 16; original <= 1 << 20; original *= 2) {
    const auto fits = [&](std::size_t i) {
      const double frequency = std::pow(base, -static_cast<double>(i) / pairs);
      return std::abs(llama3_factor(frequency, factor, original) / factors[i] - 1) < 1e-5;
    };
    std::size_t n = 0;
    while (n < factors.size() && fits(n)) ++n;
    if (n == factors.size())
      return ConfigJson{{"rope_type", "llama3"},
                        {"factor", factor},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", static_cast<std::int64_t>(original)}};
  }
  return std::nullopt;
}

/// `rope_scaling`, or null.
ConfigJson scaling_of(const DecoderSource& source, GgufKeys& keys, double base, const std::string& doing) {
  if (source.file->find("rope_factors_short.weight") != nullptr) {
    const auto magnitude = keys.find_positive("rope.scaling.attn_factor");
    return {{"rope_type", "longrope"},
            {"short_factor", factors_in(source, "rope_factors_short.weight")},
            {"long_factor", factors_in(source, "rope_factors_long.weight")},
            {"attention_factor", magnitude.value_or(1.0)}};
  }
  if (source.file->find("rope_freqs.weight") != nullptr) {
    const auto found = llama3_scaling(factors_in(source, "rope_freqs.weight"), base);
    TWISTOR_CHECK(
        found, ErrorKind::config, doing,
        "config.json has no form for the factors in rope_freqs.weight, which are not those of Llama 3",
        "give model.path the model's folder in Hugging Face's layout");
    return *found;
  }
  const auto factor = keys.find_positive("rope.scaling.factor"),
             older = keys.find_positive("rope.scale_linear");
  const double linear = factor.value_or(older.value_or(1.0));
  if (linear == 1 || keys.find_string("rope.scaling.type").value_or("linear") == "none") return nullptr;
  return {{"rope_type", "linear"}, {"factor", linear}};
}

void add_positions(ConfigJson& out, const DecoderSource& source, GgufKeys& keys, const std::string& doing) {
  const DecoderTraits& t = source.traits;
  const double base = keys.find_positive("rope.freq_base").value_or(10000.0);
  out["max_position_embeddings"] = std::max(t.context, t.long_context);
  out["rope_theta"] = base;
  out["rope_scaling"] = scaling_of(source, keys, base, doing);
  if (source.file->find("rope_factors_short.weight") != nullptr)
    out["original_max_position_embeddings"] = t.context;
  if (t.family == "Phi-3")
    out["partial_rotary_factor"] =
        static_cast<double>(2 * t.rotaries.front().frequencies.size()) / static_cast<double>(t.head_size);
}

void add_biases(ConfigJson& out, const DecoderSource& source, const std::string& doing) {
  const LayerSource& layer = source.layers.front();
  const bool qkv = layer.qkv.parts.front().bias != nullptr, o = layer.out.parts.front().bias != nullptr,
             mlp = layer.down.parts.front().bias != nullptr;
  const std::string& family = source.traits.family;
  const bool is_sayable = family == "Qwen2"                         ? qkv && !o && !mlp
                          : family == "Phi-3" || family == "OLMo 2" ? !qkv && !o && !mlp
                          : family == "Qwen3"                       ? qkv == o && !mlp
                                                                    : qkv == o;
  TWISTOR_CHECK(is_sayable, ErrorKind::config, doing,
                fmt::format("config.json has no form for the biases that this {} has", family));
  if (family == "Qwen2" || family == "Phi-3") return;
  out["attention_bias"] = qkv;
  if (family == "Llama" || family == "SmolLM3" || family == "Granite") out["mlp_bias"] = mlp;
}

void add_habits(ConfigJson& out, const DecoderSource& source, GgufKeys& keys) {
  const DecoderTraits& t = source.traits;
  if (t.family == "Qwen2" || t.family == "Qwen3" || t.family == "SmolLM3") out["use_sliding_window"] = false;
  if (t.family == "Phi-3") {
    out["sliding_window"] = nullptr;
    if (const std::int64_t window = source.layers.front().window; window > 0) out["sliding_window"] = window;
  }
  if (t.family == "SmolLM3")
    for (const LayerSource& layer : source.layers)
      out["no_rope_layers"].push_back(layer.rotary == device::no_rotary ? 0 : 1);
  if (t.family != "Granite") return;
  out["embedding_multiplier"] = t.embedding_scale;
  out["residual_multiplier"] = t.branch_scale;
  out["attention_multiplier"] = source.layers.front().attention_scale;
  out["logits_scaling"] = keys.find_positive("logit_scale").value_or(1.0);
}

}  // namespace

std::string config_of_gguf(const DecoderSource& source) {
  const std::string doing = "writing config.json of " + source.file->path().string();
  const format::GgufFile file = format::open_gguf_header(source.file->path());
  GgufKeys keys(file);
  const DecoderTraits& t = source.traits;
  const auto known = std::ranges::find(exported_names, t.family, &ExportedFamily::family);
  TWISTOR_ASSERT(known != exported_names.end(), "a family that has a layout has a name");
  ConfigJson out{{"architectures", {known->architecture}},
                 {"model_type", known->model_type},
                 {"vocab_size", t.vocab_size},
                 {"hidden_size", t.width},
                 {"intermediate_size", t.feed_forward},
                 {"num_hidden_layers", t.n_layers},
                 {"num_attention_heads", t.n_heads},
                 {"num_key_value_heads", t.n_kv_heads},
                 {"head_dim", t.head_size},
                 {"hidden_act", "silu"},
                 {"rms_norm_eps", t.norm_eps},
                 {"tie_word_embeddings", false},
                 {"dtype", "float32"}};
  add_positions(out, source, keys, doing);
  add_biases(out, source, doing);
  add_habits(out, source, keys);
  for (const auto& [ours, theirs] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                     {"tokenizer.ggml.eos_token_id", "eos_token_id"},
                                     {"tokenizer.ggml.padding_token_id", "pad_token_id"}}) {
    out[theirs] = nullptr;
    if (const auto id = file.find_integer(ours)) out[theirs] = *id;
  }
  return out.dump(2) + "\n";
}

std::map<std::string, std::string> files_beside_gguf(const std::filesystem::path& gguf) {
  return text::tokenizer_files_of_gguf(format::open_gguf_header(gguf));
}

}  // namespace twistor::model
