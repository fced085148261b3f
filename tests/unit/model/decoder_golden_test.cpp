// SPDX-License-Identifier: Apache-2.0
// Every family of decoders against an independent implementation, at several lengths, cached and not.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>

#include "support/decoder_golden.hpp"
#include "support/engines.hpp"
#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {
namespace {

using test::DecoderGolden;
using test::PatchedModel;
using test::relative_error;
using testing::HasSubstr;

// Of the spread of the values. float32 here and float64 in the reference differ by 5e-7; mistaking one form
// of gelu for the other makes 1e-4.
constexpr double tolerance = 1e-5;

struct GoldenCase {
  const char* model;   // below tests/golden
  const char* folder;  // where its golden.safetensors lies
};
std::string name_of(std::string text) {
  for (char& c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return text;
}

class DecoderGoldens : public testing::TestWithParam<std::tuple<GoldenCase, const char*>> {};

TEST_P(DecoderGoldens, AgreeAtEveryLengthCachedOrNot) {
  const auto& [golden, engine] = GetParam();
  LoadOptions options;
  options.engine = test::engine_named(engine);
  if (options.engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  const auto lm = load_language_model(test::golden_folder / golden.model, options);
  const DecoderGolden g(test::golden_folder / golden.folder / "golden.safetensors");
  const std::int64_t n = g.ids.size(0), length = g.ids.size(1);
  ASSERT_EQ(lm->vocab_size(), g.logits.size(2));
  // Lengths after each of several calls; what came before is left over in the cache.
  const std::vector<std::vector<std::int64_t>> histories{
      {1}, {5}, {length}, {1, 2, 3, 4, 5, 6, 7, 8, 9, length}, {7, 17, length}, {16, 18, length}};
  for (const auto& history : histories) {
    if (std::string_view(engine) == "emulated" && history.front() != 7) continue;  // seconds each
    auto cache = lm->make_cache(n);
    std::int64_t begin = 0;
    for (const std::int64_t end : history) {
      const at::Tensor hidden = test::forward_ids(*lm, g.ids, begin, end, *cache);
      EXPECT_LT(relative_error(hidden.to(at::kCPU), g.hidden.slice(1, begin, end)), tolerance)
          << begin << " to " << end;
      EXPECT_LT(relative_error(test::all_logits(*lm, hidden), g.logits.slice(1, begin, end)), tolerance)
          << begin << " to " << end;
      begin = end;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, DecoderGoldens,
    testing::Combine(
        testing::Values(
            GoldenCase{"gpt2", "gpt2"}, GoldenCase{"gpt_neo", "gpt_neo"}, GoldenCase{"gemma2", "gemma2"},
            GoldenCase{"gpt_neox", "gpt_neox"}, GoldenCase{"gpt_neox_serial", "gpt_neox_serial"},
            GoldenCase{"llama", "llama"}, GoldenCase{"llama_tied", "llama_tied"},
            GoldenCase{"llama3", "llama3"}, GoldenCase{"mistral", "mistral"}, GoldenCase{"qwen2", "qwen2"},
            GoldenCase{"qwen2_tied", "qwen2_tied"}, GoldenCase{"gpt2.gguf", "gpt2"},
            GoldenCase{"gpt_neox.gguf", "gpt_neox"}, GoldenCase{"llama.gguf", "llama"},
            GoldenCase{"llama3.gguf", "llama3"}, GoldenCase{"qwen2_tied.gguf", "qwen2_tied"},
            GoldenCase{"gemma3", "gemma3"}, GoldenCase{"granite", "granite"}, GoldenCase{"olmo2", "olmo2"},
            GoldenCase{"phi3", "phi3"}, GoldenCase{"phi3_long", "phi3_long"}, GoldenCase{"qwen3", "qwen3"},
            GoldenCase{"qwen3_tied", "qwen3_tied"}, GoldenCase{"smollm3", "smollm3"},
            GoldenCase{"smollm3_window", "smollm3_window"}, GoldenCase{"gemma3_plain", "gemma3_plain"},
            GoldenCase{"gemma3_plain.gguf", "gemma3_plain"}, GoldenCase{"granite.gguf", "granite"},
            GoldenCase{"olmo2.gguf", "olmo2"}, GoldenCase{"phi3.gguf", "phi3"},
            GoldenCase{"phi3_long.gguf", "phi3_long"}, GoldenCase{"qwen3_tied.gguf", "qwen3_tied"},
            GoldenCase{"smollm3.gguf", "smollm3"}),
        test::every_engine),
    [](const auto& test) {
      return name_of(fmt::format("{}_{}", std::get<0>(test.param).model, std::get<1>(test.param)));
    });

/// A key of config.json and another value for it.
struct PatchCase {
  const char* model;
  const char* patch;
};
class KeysThatMatter : public testing::TestWithParam<PatchCase> {};

// The tolerance is tight enough to see each of these: a reader that ignored the key would agree with the
// golden.
TEST_P(KeysThatMatter, ChangeTheOutputs) {
  const PatchedModel changed(GetParam().model, nlohmann::json::parse(GetParam().patch));
  const auto lm = load_language_model(changed.path());
  const DecoderGolden g(test::golden_folder / GetParam().model / "golden.safetensors");
  auto cache = lm->make_cache(g.ids.size(0));
  const at::Tensor hidden = test::forward_ids(*lm, g.ids, 0, g.ids.size(1), *cache);
  EXPECT_GT(relative_error(test::all_logits(*lm, hidden), g.logits), 3 * tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Decoder, KeysThatMatter,
    testing::Values(
        PatchCase{"gemma2", R"({"attn_logit_softcapping": null})"},
        PatchCase{"gemma2", R"({"final_logit_softcapping": 9.0})"},
        PatchCase{"gemma2", R"({"query_pre_attn_scalar": 10})"},
        PatchCase{"gemma2", R"({"hidden_activation": "gelu"})"},
        PatchCase{"gemma2", R"({"sliding_window": 7})"},
        PatchCase{"gemma2", R"({"layer_types": ["full_attention", "sliding_attention", "full_attention"]})"},
        PatchCase{"gpt_neox", R"({"use_parallel_residual": false})"},
        PatchCase{"gpt_neox", R"({"hidden_act": "gelu_new"})"},
        PatchCase{"gpt_neox", R"({"rope_parameters": {"partial_rotary_factor": 0.5}})"},
        PatchCase{"gpt_neox", R"({"rope_parameters": null, "rotary_pct": 0.25})"},
        PatchCase{"gpt_neox", R"({"rope_parameters": {"rope_theta": 5000}})"},
        PatchCase{"gpt_neox", R"({"attention_bias": false})"},
        PatchCase{"llama", R"({"rms_norm_eps": 0.01})"},
        PatchCase{"llama", R"({"rope_parameters": {"rope_type": "linear", "factor": 2.0}})"},
        PatchCase{"llama", R"({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}})"},
        PatchCase{"llama", R"({"rope_parameters": null, "rope_theta": 5000})"},

        PatchCase{"llama3", R"({"attention_bias": false})"}, PatchCase{"llama3", R"({"mlp_bias": false})"},
        PatchCase{"llama3", R"({"hidden_act": "gelu"})"},
        PatchCase{"llama3", R"({"rope_parameters": {"factor": 8.0}})"},
        PatchCase{"llama3", R"({"rope_parameters": {"low_freq_factor": 2.0}})"},
        PatchCase{"llama3", R"({"original_max_position_embeddings": 32})"},
        PatchCase{"mistral", R"({"sliding_window": null})"}, PatchCase{"mistral", R"({"sliding_window": 7})"},
        PatchCase{"qwen2", R"({"use_sliding_window": false, "layer_types": null})"},
        PatchCase{"qwen2", R"({"max_window_layers": 2, "layer_types": null})"},
        PatchCase{"qwen2", R"({"sliding_window": 6})"},
        PatchCase{"qwen2", R"({"layer_types": ["full_attention", "full_attention", "sliding_attention"]})"},
        PatchCase{"qwen3", R"({"rope_parameters": {"rope_theta": 10000}})"},
        PatchCase{"qwen3", R"({"sliding_window": 7})"}, PatchCase{"qwen3", R"({"rms_norm_eps": 0.01})"},
        PatchCase{"qwen3", R"({"layer_types": ["sliding_attention", "full_attention"]})"},
        PatchCase{"smollm3", R"({"no_rope_layers": [1, 1, 0, 1]})"},
        PatchCase{"smollm3", R"({"no_rope_layers": null, "no_rope_layer_interval": 2})"},
        PatchCase{"smollm3", R"({"rope_parameters": null})"},
        PatchCase{"smollm3_window", R"({"sliding_window": 7})"},
        PatchCase{"smollm3_window", R"({"use_sliding_window": false})"},
        PatchCase{"smollm3_window", R"({"attention_bias": false})"},
        PatchCase{"smollm3_window", R"({"mlp_bias": false})"},
        PatchCase{"olmo2", R"({"rms_norm_eps": 0.01})"}, PatchCase{"olmo2", R"({"hidden_act": "gelu"})"},
        PatchCase{"phi3", R"({"sliding_window": null})"}, PatchCase{"phi3", R"({"sliding_window": 8})"},
        PatchCase{"phi3", R"({"rope_parameters": {"partial_rotary_factor": 0.5}})"},
        PatchCase{"phi3_long", R"({"rope_parameters": {"short_factor": [1.0, 1.6]}})"},
        PatchCase{"phi3_long", R"({"rope_parameters": {"rope_type": "default"}})"},
        PatchCase{"phi3_long", R"({"max_position_embeddings": 96})"},
        PatchCase{"phi3_long", R"({"rope_parameters": {"factor": 3.0}})"},
        PatchCase{"granite", R"({"embedding_multiplier": 5})"},
        PatchCase{"granite", R"({"residual_multiplier": null})"},
        PatchCase{"granite", R"({"attention_multiplier": 0.6})"},
        PatchCase{"granite", R"({"logits_scaling": 4})"},
        PatchCase{"gemma3", R"({"query_pre_attn_scalar": 10})"},
        PatchCase{"gemma3", R"({"sliding_window": 7})"},
        PatchCase{"gemma3", R"({"attn_logit_softcapping": 4.0})"},
        PatchCase{"gemma3", R"({"final_logit_softcapping": 9.0})"},
        PatchCase{"gemma3", R"({"layer_types": null, "sliding_window_pattern": 3})"},
        PatchCase{"gemma3", R"({"rope_parameters": {"sliding_attention": {"rope_theta": 200}}})"},
        PatchCase{"gemma3", R"({"rope_parameters": {"full_attention": {"factor": 5}}})"},
        PatchCase{"gpt2", R"({"scale_attn_by_inverse_layer_idx": true})"},
        PatchCase{"gpt2", R"({"scale_attn_weights": false})"},
        PatchCase{"gpt2", R"({"activation_function": "gelu"})"},
        PatchCase{"gpt2", R"({"layer_norm_epsilon": 0.01})"}, PatchCase{"gpt_neo", R"({"window_size": 8})"},
        PatchCase{"gpt_neo", R"({"attention_types": [[["local"], 3]], "attention_layers": null})"}),
    [](const auto& test) { return name_of(std::string(test.param.model) + test.param.patch); });

/// The same model by another spelling.
class OtherSpellings : public testing::TestWithParam<PatchCase> {};

TEST_P(OtherSpellings, GiveTheSameOutputs) {
  const PatchedModel changed(GetParam().model, nlohmann::json::parse(GetParam().patch));
  const auto lm = load_language_model(changed.path());
  const DecoderGolden g(test::golden_folder / GetParam().model / "golden.safetensors");
  auto cache = lm->make_cache(g.ids.size(0));
  const at::Tensor hidden = test::forward_ids(*lm, g.ids, 0, g.ids.size(1), *cache);
  EXPECT_LT(relative_error(test::all_logits(*lm, hidden), g.logits), tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Decoder, OtherSpellings,
    testing::Values(
        PatchCase{"gpt2", R"({"activation_function": "gelu_pytorch_tanh", "torch_dtype": "bfloat16"})"},
        PatchCase{"gpt_neo", R"({"attention_layers": null})"},
        PatchCase{"gemma2", R"({"layer_types": null, "hidden_activation": null, "hidden_act": "gelu"})"},
        PatchCase{"gpt_neox", R"({"rope_parameters": null, "rotary_pct": 0.375, "rotary_emb_base": 10000,
                                  "partial_rotary_factor": 0.375, "rope_theta": 10000})"},
        PatchCase{"llama", R"({"rope_parameters": null, "rope_theta": 10000.0, "head_dim": null})"},
        PatchCase{"llama", R"({"rope_parameters": null, "rope_scaling": {"type": "linear", "factor": 1}})"},
        PatchCase{"llama", R"({"rope_scaling": {"type": "dynamic", "factor": 8}})"},
        PatchCase{"llama", R"({"rope_scaling": {}})"},
        PatchCase{"llama3", R"({"rope_parameters": null, "rope_theta": 10000.0, "rope_scaling":
                                {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0,
                                 "high_freq_factor": 4.0, "original_max_position_embeddings": 16}})"},
        PatchCase{"qwen2", R"({"layer_types": null})"}, PatchCase{"qwen3", R"({"layer_types": null})"},
        PatchCase{"smollm3", R"({"no_rope_layers": null, "layer_types": null})"},
        PatchCase{"smollm3_window", R"({"layer_types": null})"},
        PatchCase{"phi3_long", R"({"rope_parameters": null, "rope_theta": 10000, "partial_rotary_factor": 0.5,
                                   "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5],
                                                    "long_factor": [2.0, 9.0]}})"},
        PatchCase{"gemma3", R"({"rope_parameters": null, "rope_theta": 10000, "rope_local_base_freq": 100,
                                "rope_scaling": {"rope_type": "linear", "factor": 4},
                                "layer_types": null, "sliding_window_pattern": 6})"},
        PatchCase{"gemma3_plain",
                  R"({"rope_parameters": null, "rope_scaling": {"type": "linear", "factor": 8},
                                      "layer_types": null})"}),
    [](const auto& test) { return name_of(std::string(test.param.model) + test.param.patch); });

/// What a reader must say to a configuration that it cannot honour.
struct RefusedCase {
  const char* model;
  const char* patch;
  const char* message;
};
class RefusedConfig : public testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedConfig, SaysWhatIsWrong) {
  const PatchedModel changed(GetParam().model, nlohmann::json::parse(GetParam().patch));
  const Error error = test::error_of([&] { return load_language_model(changed.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Decoder, RefusedConfig,
    testing::Values(
        RefusedCase{"gpt2", R"({"activation_function": "relu6"})",
                    "activation_function: the activation 'relu6' is not supported"},
        RefusedCase{"gpt2", R"({"layer_norm_epsilon": 0})", "expected a number above 0"},
        RefusedCase{"gpt2", R"({"tie_word_embeddings": false})", "lm_head.weight"},
        RefusedCase{"gpt2", R"({"n_layer": 3})", "12 of the tensors that the model needs"},
        RefusedCase{"gpt2", R"({"vocab_size": 65})", "(expected [65, 32], got [64, 32])"},
        RefusedCase{"gpt2", R"({"n_head": 5})", "n_embd is no multiple of it"},
        RefusedCase{"gpt_neo", R"({"attention_types": [[["global", "local"], 1]], "attention_layers": null})",
                    "names 2 layers, the model has 3"},
        RefusedCase{"gpt_neo", R"({"attention_types": [[["global", "far"], 1]]})",
                    "expected \"global\" or \"local\", got 'far'"},
        RefusedCase{"gpt_neo", R"({"attention_layers": ["local", "local", "local"]})",
                    "says otherwise than attention_types"},
        RefusedCase{"gpt_neo", R"({"window_size": 0})", "window_size"},
        RefusedCase{"gpt_neox", R"({"rotary_pct": 0.25, "partial_rotary_factor": 0.5})",
                    "rotary_pct: says otherwise than partial_rotary_factor"},
        RefusedCase{"gpt_neox", R"({"rope_parameters": {"partial_rotary_factor": 0.2}})",
                    "0.2 of a head's 16 dimensions cannot turn in pairs"},
        RefusedCase{
            "llama", R"({"model_type": "mamba"})",
            "supported: gemma2, gemma3_text, gpt2, gpt_neo, gpt_neox, granite, llama, mistral, olmo2, phi3, "
            "qwen2, qwen3, smollm3"},
        RefusedCase{"llama", R"({"quantization_config": {"quant_method": "gptq"}})", "quantization_config"},
        RefusedCase{"llama", R"({"rope_scaling": {"type": "su", "factor": 2}})",
                    "rope_scaling.type: rotary positions of type 'su' are not supported"},
        RefusedCase{"phi3_long", R"({"rope_parameters": {"short_factor": [1.0]}})",
                    "expected 2 numbers, got 1"},
        RefusedCase{"phi3_long", R"({"rope_parameters": {"short_factor": null}})", "short_factor"},
        RefusedCase{"phi3_long", R"({"rope_parameters": {"rope_type": "yarn"}})",
                    "short_factor: positions of type yarn have no such factors"},
        RefusedCase{"smollm3", R"({"no_rope_layers": [1, 1]})", "expected 4 layers, got 2"},
        RefusedCase{"smollm3", R"({"no_rope_layers": [1, 1, 1, 2]})", "no_rope_layers[3]"},
        RefusedCase{"qwen3", R"({"head_dim": null})", "head_dim"},
        RefusedCase{"granite", R"({"logits_scaling": 0})", "expected a number above 0"},
        RefusedCase{"gemma3", R"({"rope_scaling": {"rope_type": "linear", "factor": 2}})",
                    "rope_scaling: rope_parameters stands beside it"},
        RefusedCase{"gemma3", R"({"rope_parameters": {"chunked_attention": {}}})",
                    "chunked_attention: this key"},
        RefusedCase{"gemma3", R"({"sliding_window": null})", "layer_types[0]: asks for a window"},
        RefusedCase{"llama", R"({"rope_parameters": {"mrope_section": [1, 2, 1]}})",
                    "rope_parameters.mrope_section: this key"},
        RefusedCase{"llama", R"({"rope_parameters": {"rope_type": "linear"}})", "factor"},
        RefusedCase{"llama", R"({"partial_rotary_factor": 0.5})", "not supported for this family"},
        RefusedCase{"llama", R"({"head_dim": 9})", "cannot turn in pairs"},
        RefusedCase{"llama", R"({"num_key_value_heads": 3})", "num_attention_heads is no multiple of it"},
        RefusedCase{"llama", R"({"attention_bias": true})", "'model.layers.1.self_attn.o_proj.bias' [32]"},
        RefusedCase{"llama", R"({"hidden_act": "relu"})", "the activation 'relu' is not supported"},
        RefusedCase{"llama", R"({"rms_norm_eps": null})", "rms_norm_eps"},
        RefusedCase{"llama", R"({"tie_word_embeddings": true})", "'lm_head.weight' differs from it"},
        RefusedCase{"llama_tied", R"({"tie_word_embeddings": false})", "lm_head.weight"},
        RefusedCase{"gemma2", R"({"query_pre_attn_scalar": 0})", "expected a number above 0"},
        RefusedCase{"gemma2", R"({"use_bidirectional_attention": true})", "is not a decoder"},
        RefusedCase{"gemma2", R"({"sliding_window": null})", "layer_types[0]: asks for a window"},
        RefusedCase{"qwen2", R"({"use_sliding_window": false})", "layer_types[1]: asks for a window"},
        RefusedCase{"qwen2", R"({"layer_types": ["full_attention"]})", "expected 3 layers, got 1"}),
    [](const auto& test) { return name_of(std::string(test.param.model) + test.param.patch); });

/// Texts beyond LongRoPE's first context of 32 tokens, which the reference reads as a whole: with room for
/// them all positions turn by the long factors from the first token on.
TEST(LongRope, BeyondTheFirstContextIsWhatTheReferenceSays) {
  const DecoderGolden g(test::golden_folder / "phi3_long/beyond.safetensors");
  const std::int64_t n = g.ids.size(0), length = g.ids.size(1);
  ASSERT_GT(length, 32);
  for (const char* model : {"phi3_long", "phi3_long.gguf"}) {
    LoadOptions options;
    options.context = length;
    const auto lm = load_language_model(test::golden_folder / model, options);
    const auto usual = load_language_model(test::golden_folder / model);
    EXPECT_EQ(lm->context_length(), length);
    EXPECT_EQ(usual->context_length(), 32);
    EXPECT_NE(lm->fingerprint(), usual->fingerprint());
    for (const std::vector<std::int64_t>& history :
         std::vector<std::vector<std::int64_t>>{{length}, {1, 20, 31, 33, 40, length}}) {
      auto cache = lm->make_cache(n);
      std::int64_t begin = 0;
      for (const std::int64_t end : history) {
        const at::Tensor hidden = test::forward_ids(*lm, g.ids, begin, end, *cache);
        EXPECT_LT(relative_error(hidden, g.hidden.slice(1, begin, end)), tolerance) << model;
        EXPECT_LT(relative_error(test::all_logits(*lm, hidden), g.logits.slice(1, begin, end)), tolerance);
        begin = end;
      }
    }
    auto cache = usual->make_cache(n);
    const at::Tensor hidden = test::forward_ids(*usual, g.ids, 0, 32, *cache);
    EXPECT_GT(relative_error(hidden, g.hidden.slice(1, 0, 32)), 3 * tolerance) << "the factors matter";
    EXPECT_THAT(test::message_of([&] { return test::forward_ids(*usual, g.ids, 32, 33, *cache); }),
                HasSubstr("or set model.context, up to 64"));
  }
}

TEST(LongRope, RoomIsMadeForWhatThePositionsHold) {
  const auto with = [](const char* model, std::int64_t context) {
    LoadOptions options;
    options.context = context;
    return load_language_model(test::golden_folder / model, options);
  };
  const auto usual = with("phi3_long", 0);
  EXPECT_EQ(with("phi3_long", 20)->context_length(), 20);
  EXPECT_EQ(with("phi3_long", 32)->fingerprint(), usual->fingerprint());
  EXPECT_EQ(with("llama", 5)->context_length(), 5);
  for (const char* model : {"phi3_long", "llama"}) {
    const Error error = test::error_of([&] { return with(model, 65); });
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), HasSubstr("making room for texts of 65 tokens"));
    EXPECT_THAT(error.text(), HasSubstr("hold 64"));
  }
}

// The released TinyStories-33M: its config.json asks for tensors of these shapes.
TEST(Decoder, ConfigOfTinyStories33MIsRead) {
  const PatchedModel config("gpt_neo", nlohmann::json::parse(R"({
    "hidden_size": 768, "num_layers": 4, "num_heads": 16, "vocab_size": 50257, "max_position_embeddings": 2048,
    "window_size": 256, "attention_types": [[["global", "local"], 2]],
    "attention_layers": ["global", "local", "global", "local"], "embed_dropout": 0, "gradient_checkpointing": false})"));
  const std::string message = test::message_of([&] { return load_language_model(config.path()); });
  EXPECT_THAT(message, HasSubstr("13 of the tensors that the model needs"));  // of the fourth layer
  EXPECT_THAT(message, HasSubstr("'transformer.h.3.attn.attention.q_proj.weight' [768, 768]"));
  EXPECT_THAT(message, HasSubstr("'transformer.wte.weight' (expected [50257, 768], got [64, 32])"));
  EXPECT_THAT(message, HasSubstr("'transformer.wpe.weight' (expected [2048, 768]"));
  EXPECT_THAT(message, HasSubstr("'transformer.h.0.mlp.c_fc.weight' (expected [3072, 768]"));
}

}  // namespace
}  // namespace twistor::model
