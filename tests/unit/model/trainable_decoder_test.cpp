// SPDX-License-Identifier: Apache-2.0
// Bodies of every family: hidden states and gradients against transformers, the sampler's side against the
// model itself.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <map>

#include "support/body_golden.hpp"
#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/trainable_decoder.hpp"

namespace twistor::model {
namespace {

using test::error_of;
using test::relative_error;
using testing::ElementsAre;
using testing::HasSubstr;

using test::BodyTexts;
using test::expect_sums;
using test::golden_gradients;
using test::gradients_of;
using test::on_hidden;
using test::set_first_values;
using test::Sums;
using test::sums_of;
using test::views_of;

constexpr std::int64_t n_prompt = BodyTexts::n_prompt, length = BodyTexts::length;

std::unique_ptr<TrainableDecoder> load(const std::string& model, const TrainableOptions& options = {}) {
  return load_trainable_decoder(test::golden_folder / model, options);
}

class Bodies : public testing::TestWithParam<const char*> {};

TEST_P(Bodies, GradientsAreThoseOfTransformers) {
  const std::string model = GetParam();
  const BodyTexts texts(model);
  const auto body = load(model);
  const std::vector<LearnedTensor> first = set_first_values(*body);
  const nlohmann::json golden = golden_gradients(model);
  const Sums hidden = sums_of(body->hidden(texts.view()));
  expect_sums(hidden, golden["hidden"], 1e-5 * std::sqrt(hidden.square), "hidden");
  test::expect_gradients(gradients_of(*body, texts.view()), golden["gradients"]);
}

TEST_P(Bodies, SamplersSideBeginsAsTheModelAndFollows) {
  const std::string model = GetParam();
  const BodyTexts texts(model);
  const auto base = load_language_model(test::golden_folder / model);
  for (const bool is_lora : {false, true}) {
    TrainableOptions options;
    if (is_lora) options.lora = LoraOptions{2, 4, {}};
    const auto body = load(model, options);
    const auto states = [&](const LanguageModel& lm) {
      const auto cache = lm.make_cache(1);
      return lm.forward(std::span(texts.tokens).first(length), *cache).clone();
    };
    const at::Tensor of_base = states(*base);
    EXPECT_TRUE(test::same_bits(states(*body->sampler()), of_base));
    const std::vector<LearnedTensor> held = set_first_values(*body);
    EXPECT_TRUE(test::same_bits(states(*body->sampler()), of_base));
    const std::int64_t before = body->sampler()->revision();
    // Other values: both sides change together.
    std::vector<LearnedTensor> tensors = body->tensors();
    for (LearnedTensor& t : tensors)
      for (std::size_t i = 0; i < t.value.size(); ++i) t.value[i] += 0.05F * std::sin(static_cast<float>(i));
    body->set_values(views_of(tensors));
    EXPECT_NE(body->sampler()->revision(), before);
    EXPECT_FALSE(test::same_bits(states(*body->sampler()), of_base));
    const Continuations view = texts.view();
    const at::Tensor ours = body->hidden(view);
    for (std::int64_t i = 0; i * length < static_cast<std::int64_t>(texts.tokens.size()); ++i) {
      const auto cache = body->sampler()->make_cache(1);
      std::vector<std::int64_t> all = texts.prompt;
      all.insert(all.end(), texts.tokens.begin() + i * length, texts.tokens.begin() + (i + 1) * length - 1);
      const at::Tensor row =
          body->sampler()->forward(all, *cache).select(0, 0).narrow(0, n_prompt - 1, length);
      EXPECT_LT(relative_error(ours.narrow(0, i * length, length), row), 1e-5) << is_lora;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Bodies,
                         testing::Values("gpt2", "gpt_neo", "gpt_neox", "gpt_neox_serial", "llama", "llama3",
                                         "llama_tied", "mistral", "qwen2", "gemma2", "gemma3", "granite",
                                         "olmo2", "phi3", "phi3_long", "qwen3", "smollm3", "smollm3_window"),
                         [](const auto& test) { return std::string(test.param); });

/// A body of a model that makes room for long texts turns positions as that does, on both its sides.
TEST(TrainableDecoder, FollowsTheContextOfItsModel) {
  const test::DecoderGolden g(test::golden_folder / "phi3_long/beyond.safetensors");
  const std::int64_t n_tokens = g.ids.size(1);
  TrainableOptions options;
  options.context = n_tokens;
  const auto body = load("phi3_long", options);
  const std::vector<LearnedTensor> held = set_first_values(*body);
  EXPECT_EQ(body->sampler()->context_length(), n_tokens);
  const at::Tensor row = g.ids.select(0, 0).contiguous();
  const std::span ids(row.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(n_tokens));
  const auto cache = body->sampler()->make_cache(1);
  EXPECT_LT(relative_error(body->sampler()->forward(ids, *cache).select(0, 0), g.hidden.select(0, 0)), 1e-5);
  const at::Tensor ours = body->hidden({ids.first(1), ids.subspan(1), n_tokens - 1});
  EXPECT_LT(relative_error(ours, g.hidden.select(0, 0).narrow(0, 0, n_tokens - 1)), 1e-5);
}

TEST(TrainableDecoder, QuantisedModelsLearnByLowRankAdditions) {
  const std::filesystem::path model = test::golden_folder / "llama_q8.gguf";
  TrainableOptions options;
  options.lora = LoraOptions{2, 4, {"attn_q", "ffn_down"}};
  const auto body = load_trainable_decoder(model, options);
  EXPECT_THAT(body->targets(), ElementsAre("attn_q", "ffn_down"));
  const std::vector<LearnedTensor> first = set_first_values(*body);
  const auto states = [](const LanguageModel& lm) {
    return lm.forward(std::vector<std::int64_t>{3, 1, 4}, *lm.make_cache(1));
  };
  EXPECT_TRUE(test::same_bits(states(*body->sampler()), states(*load_language_model(model))));
  const BodyTexts texts("llama");
  EXPECT_EQ(gradients_of(*body, texts.view()).size(), 8u);  // A and B of two matrices in two layers
  EXPECT_THAT(test::message_of([&] { (void)load_trainable_decoder(model, {}); }),
              AllOf(HasSubstr("is stored in blocks of few bits"), HasSubstr("set twist.body = lora")));
}

TEST(TrainableDecoder, GradientsHaveTheSameBitsOnAnyNumberOfThreads) {
  const BodyTexts texts("llama");
  const auto body = load("llama");
  const std::vector<LearnedTensor> first = set_first_values(*body);
  const int before = omp_get_max_threads();
  std::vector<std::vector<float>> expected;
  for (const int n_threads : {1, 2, 3}) {
    omp_set_num_threads(n_threads);
    std::vector<std::vector<float>> all;
    body->gradient(texts.view(), on_hidden(body->hidden(texts.view())),
                   [&](std::size_t, const std::vector<std::int64_t>&, const at::Tensor& values) {
                     all.push_back(device::to_host(values));
                   });
    EXPECT_EQ(omp_get_max_threads(), n_threads);  // as it was
    if (expected.empty()) expected = all;
    EXPECT_EQ(all, expected) << n_threads;
  }
  omp_set_num_threads(before);
}

TEST(TrainableDecoder, SaysWhatItCannotDo) {
  TrainableOptions lora;
  lora.lora = LoraOptions{2, 4, {"q_proj", "query"}};
  const Error no_target = error_of([&] { (void)load("llama", lora); });
  EXPECT_EQ(no_target.kind(), ErrorKind::config);
  EXPECT_THAT(no_target.what(), HasSubstr("no matrix of this model is called query (there are down_proj, "
                                          "gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj)"));
  lora.lora = LoraOptions{0, 4, {}};
  EXPECT_THAT(test::message_of([&] { (void)load("llama", lora); }), HasSubstr("set twist.lora_rank"));
  const auto body = load("llama");
  std::vector<LearnedTensor> tensors = body->tensors();
  tensors.back().value.back() = std::nanf("");
  EXPECT_THAT(test::message_of([&] { body->set_values(views_of(tensors)); }),
              HasSubstr("lower train.learning_rate"));
}

}  // namespace
}  // namespace twistor::model
