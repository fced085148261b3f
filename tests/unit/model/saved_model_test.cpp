// SPDX-License-Identifier: Apache-2.0
// A model that was learned as a whole, written and read again.
#include "twistor/model/saved_model.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "support/body_golden.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/model/load.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {
namespace {

const std::vector<std::int64_t> tokens{3, 1, 4, 1, 5};

at::Tensor hidden_of(const LanguageModel& lm) {
  return lm.forward(tokens, *lm.make_cache(1))[0];
}

at::Tensor logits_of(const LanguageModel& lm, const at::Tensor& hidden) {
  at::Tensor out = at::empty({hidden.size(0), lm.vocab_size()});
  lm.logits(hidden, 0, lm.vocab_size(), out);
  return out;
}

/// Writes what the values, changed by `change`, make of the model.
void write_changed(const std::filesystem::path& folder, TrainableDecoder& body,
                   std::vector<LearnedTensor>& values, double change) {
  std::vector<std::span<const float>> views;
  for (LearnedTensor& t : values) {
    for (std::size_t i = 0; i < t.value.size(); ++i)
      t.value[i] *= static_cast<float>(1 + change * std::cos(static_cast<double>(i)));
    views.emplace_back(t.value);
  }
  body.set_values(test::views_of(values));
  write_model_folder(folder, body, views);
}

class SavedModel : public testing::TestWithParam<const char*> {};

/// Untouched it is the original; otherwise its hidden states are the learner's, and its logits those of the
/// original's output matrix, bit for bit.
TEST_P(SavedModel, IsWhatTheLearnerSamplesFrom) {
  const auto original = load_language_model(test::golden_folder / GetParam());
  const auto body = load_trainable_decoder(test::golden_folder / GetParam(), {});
  std::vector<LearnedTensor> values = body->tensors();
  const test::TemporaryFolder same, other;
  write_changed(same.path(), *body, values, 0);
  const auto again = load_language_model(same.path());
  const at::Tensor first = hidden_of(*original);
  EXPECT_TRUE(hidden_of(*again).equal(first));
  EXPECT_TRUE(logits_of(*again, first).equal(logits_of(*original, first)));
  write_changed(other.path(), *body, values, 0.05);
  const auto learned = load_language_model(other.path());
  const at::Tensor hidden = hidden_of(*learned);
  EXPECT_TRUE(hidden.equal(hidden_of(*body->sampler())));
  EXPECT_FALSE(hidden.equal(first));
  EXPECT_TRUE(logits_of(*learned, hidden).equal(logits_of(*original, hidden)));
  EXPECT_NE(learned->fingerprint(), again->fingerprint());
}

INSTANTIATE_TEST_SUITE_P(Families, SavedModel,
                         testing::Values("gpt2", "gpt_neo", "gpt_neox", "llama", "llama_tied", "mistral",
                                         "qwen2", "qwen2_tied", "qwen3_tied", "gemma2", "gemma3", "granite",
                                         "olmo2", "phi3", "smollm3"),
                         [](const auto& test) { return std::string(test.param); });

TEST(SavedModelFiles, AreThoseOfTheOriginalButForWeightsAndWhatTheyAre) {
  const test::TemporaryFolder from, to;
  std::filesystem::copy(test::golden_folder / "llama_tied", from.path(),
                        std::filesystem::copy_options::recursive);
  from.write("tokenizer.json", "{}");
  from.write("chat_template.jinja", "{{ messages }}");
  auto config = nlohmann::ordered_json::parse(test::read_file(from.path() / "config.json"));
  config["torch_dtype"] = "bfloat16";
  from.write("config.json", config.dump());
  const auto body = load_trainable_decoder(from.path(), {});
  std::vector<LearnedTensor> values = body->tensors();
  write_changed(to.path(), *body, values, 0);
  config["torch_dtype"] = "float32";
  if (config.contains("dtype")) config["dtype"] = "float32";
  config["tie_word_embeddings"] = false;
  EXPECT_EQ(nlohmann::ordered_json::parse(test::read_file(to.path() / "config.json")), config);
  EXPECT_EQ(test::read_file(to.path() / "tokenizer.json"), "{}");
  EXPECT_EQ(test::read_file(to.path() / "chat_template.jinja"), "{{ messages }}");
  EXPECT_FALSE(std::filesystem::exists(to.path() / "golden.safetensors"));
  // The embedding was learned and the output matrix was not, though they were one.
  write_changed(to.path(), *body, values, 0.1);
  EXPECT_TRUE(
      test::same_bits(test::read_tensor(to.path() / "model.safetensors", "lm_head.weight"),
                      test::read_tensor(from.path() / "model.safetensors", "model.embed_tokens.weight")));
  EXPECT_FALSE(
      test::same_bits(test::read_tensor(to.path() / "model.safetensors", "model.embed_tokens.weight"),
                      test::read_tensor(from.path() / "model.safetensors", "model.embed_tokens.weight")));
}

class SavedGguf : public testing::TestWithParam<const char*> {};

/// config.json, names and the order of rows from the file's metadata. Where the file has the halves of heads
/// in turns, scores are sums in another order in a folder; otherwise all bits are equal.
TEST_P(SavedGguf, IsAFolderOfTheSameModel) {
  const std::filesystem::path path = test::golden_folder / (std::string(GetParam()) + ".gguf");
  const bool has_other_order =
      std::set<std::string>{"llama", "llama3", "granite", "smollm3"}.contains(GetParam());
  const auto original = load_language_model(path);
  const auto body = load_trainable_decoder(path, {});
  EXPECT_EQ(why_not_written(*body), "");
  std::vector<LearnedTensor> values = body->tensors();
  for (const double change : {0.0, 0.05}) {
    const test::TemporaryFolder folder;
    write_changed(folder.path(), *body, values, change);
    const auto again = load_language_model(folder.path());
    EXPECT_EQ(again->context_length(), original->context_length());
    const at::Tensor expected = hidden_of(*body->sampler()), found = hidden_of(*again);
    if (has_other_order)
      EXPECT_LT(test::relative_error(found, expected), 2e-6) << change;
    else
      EXPECT_TRUE(found.equal(expected)) << change;
    EXPECT_TRUE(logits_of(*again, expected).equal(logits_of(*original, expected)));
    if (change > 0) continue;
    EXPECT_LT(test::relative_error(found, hidden_of(*original)), 2e-6);
    const auto theirs = text::load_tokenizer(folder.path()), ours = text::load_tokenizer(path);
    for (const char* text :
         {"the thing was in a sea", "", "<|endoftext|>he  said: it's 12.5!\n", "\u00fc?"}) {
      EXPECT_EQ(theirs->encode(text), ours->encode(text)) << text;
      EXPECT_EQ(theirs->encode_with_template(text, 99).ids, ours->encode_with_template(text, 99).ids);
    }
    EXPECT_EQ(theirs->end_ids(), ours->end_ids());
    EXPECT_EQ(theirs->vocab_size(), ours->vocab_size());
  }
}

INSTANTIATE_TEST_SUITE_P(Files, SavedGguf,
                         testing::Values("llama", "llama3", "qwen2_tied", "qwen3_tied", "granite", "olmo2",
                                         "phi3", "phi3_long", "smollm3"),
                         [](const auto& test) { return std::string(test.param); });

TEST(SavedModelFiles, SayWhichGgufFilesTheyAreNotMadeOf) {
  for (const char* name : {"gpt2.gguf", "gpt_neox.gguf", "gemma3_plain.gguf"}) {
    const auto body = load_trainable_decoder(test::golden_folder / name, {});
    EXPECT_THAT(why_not_written(*body), testing::HasSubstr("weights have other shapes or values there"));
    const test::TemporaryFolder folder;
    EXPECT_THAT(test::message_of([&] { write_model_folder(folder.path(), *body, {}); }),
                testing::HasSubstr("Hugging Face's layout"));
  }
}

}  // namespace
}  // namespace twistor::model
