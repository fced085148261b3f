// SPDX-License-Identifier: Apache-2.0
// Adapters that PEFT wrote, with the hidden states and gradients that it gives for them, and back again.
#include "twistor/model/lora_adapter.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "support/body_golden.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/load.hpp"

namespace twistor::model {
namespace {

using test::BodyTexts;
using testing::HasSubstr;

struct Case {
  const char* model;
  std::vector<std::string> targets;
};
const std::vector<Case> cases{{"gpt2", {"c_attn", "mlp.c_proj"}},
                              {"llama", {"q_proj", "v_proj", "down_proj"}},
                              {"gpt_neox", {"query_key_value", "dense_4h_to_h"}}};

std::unique_ptr<TrainableDecoder> body_of(const Case& c, std::int64_t rank = 3, double alpha = 5) {
  TrainableOptions options;
  options.lora = LoraOptions{rank, alpha, c.targets};
  return load_trainable_decoder(test::golden_folder / c.model, options);
}

std::vector<std::span<const float>> spans_of(const std::vector<LearnedTensor>& tensors) {
  std::vector<std::span<const float>> views;
  for (const LearnedTensor& t : tensors) views.emplace_back(t.value);
  return views;
}

TEST(LoraAdapter, GradientsAreThoseOfPeft) {
  for (const Case& c : cases) {
    const auto body = body_of(c);
    const std::string folder = std::string(c.model) + "/adapter";
    const std::vector<LearnedTensor> values = read_lora_adapter(test::golden_folder / folder, *body);
    body->set_values(test::views_of(values));
    const BodyTexts texts(c.model);
    const nlohmann::json golden = test::golden_gradients(folder);
    const test::Sums hidden = test::sums_of(body->hidden(texts.view()));
    test::expect_sums(hidden, golden["hidden"], 1e-5 * std::sqrt(hidden.square), c.model);
    test::expect_gradients(test::gradients_of(*body, texts.view()), golden["gradients"], "base_model.model.");
  }
}

TEST(LoraAdapter, WhatIsWrittenIsWhatPeftWrote) {
  for (const Case& c : cases) {
    const auto body = body_of(c);
    const auto original = test::golden_folder / c.model / "adapter";
    const std::vector<LearnedTensor> values = read_lora_adapter(original, *body);
    const AdapterFiles files = lora_adapter_files(*body, spans_of(values));
    const test::TemporaryFolder folder;
    folder.write("adapter_config.json", files.config);
    folder.write("adapter_model.safetensors", files.weights);
    for (const LearnedTensor& t : values) {
      const std::string name = "base_model.model." + t.name;
      EXPECT_TRUE(test::same_bits(test::read_tensor(folder.path() / "adapter_model.safetensors", name),
                                  test::read_tensor(original / "adapter_model.safetensors", name)))
          << name;
    }
    const std::vector<LearnedTensor> again = read_lora_adapter(folder.path(), *body);
    for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(again[i].value, values[i].value);
    const auto ours = nlohmann::json::parse(files.config),
               theirs = nlohmann::json::parse(test::read_file(original / "adapter_config.json"));
    for (const char* key : {"peft_type", "task_type", "r", "lora_alpha", "fan_in_fan_out", "bias"})
      EXPECT_EQ(ours[key], theirs[key]) << key;
  }
}

/// A loaded model has the additions in its matrices: the hidden states are those of the learner's sampler,
/// bit for bit, and the logits are its own head's.
TEST(LoraAdapter, GoIntoTheMatricesOfAModelThatIsLoadedWithThem) {
  for (const Case& c : cases) {
    const auto folder = test::golden_folder / c.model / "adapter";
    const auto body = body_of(c);
    const std::vector<LearnedTensor> values = read_lora_adapter(folder, *body);
    body->set_values(test::views_of(values));
    LoadOptions options;
    options.adapter = folder;
    const auto plain = load_language_model(test::golden_folder / c.model),
               merged = load_language_model(test::golden_folder / c.model, options);
    EXPECT_NE(merged->fingerprint(), plain->fingerprint());
    const std::vector<std::int64_t> tokens{3, 1, 4, 1, 5};
    const auto hidden_of = [&](const LanguageModel& lm) { return lm.forward(tokens, *lm.make_cache(1)); };
    const at::Tensor hidden = hidden_of(*merged);
    EXPECT_TRUE(hidden.equal(hidden_of(*body->sampler()))) << c.model;
    EXPECT_FALSE(hidden.equal(hidden_of(*plain))) << c.model;
    at::Tensor logits = at::empty({5, plain->vocab_size()}), expected = at::empty_like(logits);
    merged->logits(hidden[0], 0, plain->vocab_size(), logits);
    plain->logits(hidden[0], 0, plain->vocab_size(), expected);
    EXPECT_TRUE(logits.equal(expected)) << c.model;
  }
}

/// What PEFT wrote for a folder fits the GGUF file of the same weights, whose matrices have other names, and
/// rows of queries and keys another order; what is written of such a body is what PEFT wrote.
TEST(LoraAdapter, GoWithAGgufFileOfTheSameModel) {
  const auto folder = test::golden_folder / "llama/adapter", file = test::golden_folder / "llama.gguf";
  const auto body = body_of({"llama.gguf", {"attn_q", "attn_v", "ffn_down"}});
  const std::vector<LearnedTensor> values = read_lora_adapter(folder, *body);
  const AdapterFiles files = lora_adapter_files(*body, spans_of(values));
  const test::TemporaryFolder written;
  written.write("adapter_model.safetensors", files.weights);
  const auto of_peft = body_of(cases[1]);
  for (const LearnedTensor& t : of_peft->tensors()) {
    const std::string name = "base_model.model." + t.name;
    EXPECT_TRUE(test::same_bits(test::read_tensor(written.path() / "adapter_model.safetensors", name),
                                test::read_tensor(folder / "adapter_model.safetensors", name)))
        << name;
  }
  EXPECT_EQ(nlohmann::json::parse(files.config)["target_modules"],
            (nlohmann::json{"q_proj", "v_proj", "down_proj"}));
  LoadOptions options;
  options.adapter = folder;
  const std::vector<std::int64_t> tokens{3, 1, 4, 1, 5};
  const auto hidden_of = [&](const LanguageModel& lm) { return lm.forward(tokens, *lm.make_cache(1)); };
  const at::Tensor merged = hidden_of(*load_language_model(file, options));
  EXPECT_LT(
      test::relative_error(merged, hidden_of(*load_language_model(test::golden_folder / "llama", options))),
      2e-6);
  EXPECT_GT(test::relative_error(merged, hidden_of(*load_language_model(file))), 1e-3);
  body->set_values(test::views_of(values));
  EXPECT_TRUE(hidden_of(*body->sampler()).equal(merged));
}

TEST(LoraAdapter, AreRefusedByAnotherModel) {
  LoadOptions options;
  options.adapter = test::golden_folder / "llama/adapter";
  const auto message = [&](const char* model) {
    return test::message_of([&] { (void)load_language_model(test::golden_folder / model, options); });
  };
  EXPECT_THAT(message("gpt2"), HasSubstr("have no such matrix"));
  EXPECT_THAT(message("mistral"), HasSubstr("belongs to another model"));
  EXPECT_THAT(message("gpt2.gguf"), HasSubstr("Hugging Face's layout"));
  options.adapter = "/no/such/folder";
  EXPECT_THAT(message("llama"), HasSubstr("there is no adapter_model.safetensors"));
}

/// A golden adapter whose configuration is changed.
std::string message_with(const Case& c, const TrainableDecoder& body,
                         const std::function<void(nlohmann::json&)>& change) {
  const auto original = test::golden_folder / c.model / "adapter";
  const test::TemporaryFolder folder;
  nlohmann::json config = nlohmann::json::parse(test::read_file(original / "adapter_config.json"));
  change(config);
  folder.write("adapter_config.json", config.dump());
  folder.write("adapter_model.safetensors", test::read_file(original / "adapter_model.safetensors"));
  return test::message_of([&] { (void)read_lora_adapter(folder.path(), body); });
}

TEST(LoraAdapter, SaysWhatDoesNotFit) {
  const Case& c = cases[1];
  const auto same = [](nlohmann::json&) {};
  EXPECT_EQ(message_with(c, *body_of(c), same), "no error");
  EXPECT_THAT(message_with(c, *body_of(c, 8, 16), same),
              HasSubstr("set twist.lora_rank = 3 and twist.lora_alpha = 5"));
  // alpha / sqrt(rank) as scale is ours with another alpha.
  EXPECT_THAT(message_with(c, *body_of(c), [](auto& config) { config["use_rslora"] = true; }),
              HasSubstr("twist.lora_alpha = 8.66"));
  EXPECT_THAT(message_with(c, *body_of({"llama", {"q_proj", "v_proj"}}), same),
              HasSubstr("set twist.lora_targets = down_proj, q_proj, v_proj"));
  EXPECT_THAT(message_with(c, *body_of({"llama", {"q_proj", "v_proj", "k_proj", "down_proj"}}), same),
              HasSubstr("it lacks base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight"));
  EXPECT_THAT(message_with(c, *body_of({"mistral", c.targets}), same), HasSubstr("belongs to another model"));
  EXPECT_THAT(message_with(c, *body_of(c), [](auto& config) { config["use_dora"] = true; }),
              HasSubstr("use_dora"));
  EXPECT_THAT(message_with(c, *body_of(c), [](auto& config) { config["peft_type"] = "IA3"; }),
              HasSubstr("LORA is supported"));
  EXPECT_THAT(message_with(c, *body_of(c), [](auto& config) { config["rank_pattern"]["q_proj"] = 4; }),
              HasSubstr("rank_pattern"));
  const auto copy = load_trainable_decoder(test::golden_folder / "llama", {});
  EXPECT_THAT(message_with(c, *copy, same), HasSubstr("set twist.body = lora"));
  TrainableOptions options;
  options.lora = LoraOptions{3, 5, {"attn_qkv"}};
  const auto gguf = load_trainable_decoder(test::golden_folder / "gpt2.gguf", options);
  EXPECT_THAT(message_with(c, *gguf, same), HasSubstr("Hugging Face's layout"));
  EXPECT_THAT(test::message_of([&] { (void)read_lora_adapter("/no/such/folder", *body_of(c)); }),
              HasSubstr("adapter_model.safetensors"));
}

}  // namespace
}  // namespace twistor::model
