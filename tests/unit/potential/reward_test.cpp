// SPDX-License-Identifier: Apache-2.0
// Reward models on decoders against the reference implementation, and what is refused.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "potential/kinds/reward.hpp"
#include "support/engines.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

using test::error_of;
using testing::HasSubstr;

const std::filesystem::path golden = std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/reward";

PotentialOptions options_of(const std::filesystem::path& folder) {
  PotentialOptions options;
  options.potential = "reward";
  options.classifier = folder.string();
  return options;
}

// The reference computes in float64 one text at a time; float32 through two layers of width 16 is within 1e-5
// of it. Among the texts are such that end with the token that pads, once and twice, and one that is longer
// than the context.
TEST(Reward, IsWhatTheReferenceSays) {
  for (const char* name :
       {"llama", "qwen2", "mistral", "qwen3", "gemma2", "gemma3", "phi3", "olmo2", "smollm3"}) {
    std::ifstream file(golden / name / "texts.json");
    const nlohmann::json expected = nlohmann::json::parse(file);
    const auto texts = expected["texts"].get<std::vector<std::string>>();
    const model::RewardModel reward(golden / name);
    const std::size_t n_labels = reward.labels().size();
    EXPECT_EQ(n_labels, std::string(name) == "qwen2" ? 3u : 1u);
    const std::vector<float> together = reward.logits(texts);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::vector<float> alone = reward.logits({&texts[i], 1});
      for (std::size_t c = 0; c < n_labels; ++c) {
        EXPECT_NEAR(together[i * n_labels + c], expected["logits"][i][c].get<double>(), 1e-5)
            << name << ": " << texts[i];
        EXPECT_EQ(together[i * n_labels + c], alone[c]) << "a batch is many batches of one";
      }
    }
  }
}

TEST(Reward, IsTheLogitOfAnEncoderToo) {
  const std::filesystem::path folder = golden.parent_path() / "encoders/deberta";
  std::ifstream file(folder / "texts.json");
  std::vector<std::string> texts;
  std::vector<double> expected;
  for (const nlohmann::json& one : nlohmann::json::parse(file)) {
    texts.push_back(one["text"]);
    expected.push_back(2 * one["logits"][0].get<double>());
  }
  PotentialOptions options = options_of(folder);
  options.beta = 2;
  const auto reward = make_reward(options, {});
  EXPECT_THAT(reward->log_phi(texts), testing::Pointwise(testing::DoubleNear(1e-5), expected));
  EXPECT_THAT(reward->description(), HasSubstr("DeBERTa"));
  EXPECT_TRUE(std::isinf(reward->log_phi_bound()));
}

TEST(Reward, ReadsPromptAndAnswerAsAPairWhereItIsAskedTo) {
  const std::filesystem::path folder = golden.parent_path() / "encoders/deberta";
  std::ifstream file(folder / "pairs.json");
  PotentialOptions options = options_of(folder);
  options.scope = "pair";
  options.beta = 2;
  TargetContext context;
  const auto reward = make_text_scorer(options, context);
  ASSERT_TRUE(reward->reads_pairs());
  int n = 0;
  for (const nlohmann::json& one : nlohmann::json::parse(file)) {
    if (!one.contains("logits")) continue;
    const std::vector<std::string> answer{one["second"]};
    EXPECT_NEAR(reward->log_phi_of_answers(one["first"], answer)[0], 2 * one["logits"][0].get<double>(),
                2e-5);
    ++n;
  }
  EXPECT_EQ(n, 8);
  // The question belongs to the target: another one is another target.
  const std::string before = digest(options);
  options.question = "what is good ?";
  EXPECT_NE(digest(options), before);
}

TEST(Reward, RefusesPairsThatItCannotRead) {
  const auto message = [](PotentialOptions options, const char* scope, const char* question) {
    options.scope = scope;
    options.question = question;
    return error_of([&] { (void)make_text_scorer(options, {}); }).text();
  };
  EXPECT_THAT(message(options_of(golden / "llama"), "pair", ""),
              HasSubstr("reads no prompt and answer as a pair"));
  EXPECT_THAT(message(options_of(golden / "llama"), "all", "why?"), HasSubstr("set target.scope = pair"));
  PotentialOptions regex;
  regex.potential = "regex";
  regex.pattern = "a";
  EXPECT_THAT(message(regex, "pair", ""), HasSubstr("reads no prompt and answer as a pair"));
  EXPECT_THAT(message(regex, "pair", "why?"),
              HasSubstr("target.question is set, but this potential does not"));
}

class RewardOnEngines : public testing::TestWithParam<const char*> {};

TEST_P(RewardOnEngines, IsWhatTheReferenceSays) {
  model::LoadOptions options;
  options.engine = test::engine_named(GetParam());
  if (options.engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  std::ifstream file(golden / "qwen2" / "texts.json");
  const nlohmann::json expected = nlohmann::json::parse(file);
  const model::RewardModel reward(golden / "qwen2", options);
  const std::vector<float> logits = reward.logits(expected["texts"].get<std::vector<std::string>>());
  for (std::size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(logits[i], expected["logits"][i / 3][i % 3].get<double>(), 1e-5) << i;
}

INSTANTIATE_TEST_SUITE_P(Kinds, RewardOnEngines, test::every_tensor_engine,
                         [](const auto& test) { return std::string(test.param); });

TEST(Reward, IsTheLogitItselfTimesBetaUpToACap) {
  const std::vector<std::string> texts{"the fox ate the hen .", "once"};
  const std::vector<float> logits = model::RewardModel(golden / "qwen2").logits(texts);
  PotentialOptions options = options_of(golden / "qwen2");
  options.class_name = "2";
  options.beta = 3;
  EXPECT_EQ(make_reward(options, {})->log_phi(texts),
            (std::vector<double>{3.0 * logits[2], 3.0 * logits[5]}));
  EXPECT_TRUE(std::isinf(make_reward(options, {})->log_phi_bound()));
  options.cap = std::min(logits[2], logits[5]);
  EXPECT_EQ(make_reward(options, {})->log_phi(texts), (std::vector<double>(2, 3.0 * options.cap)));
  EXPECT_EQ(make_reward(options, {})->log_phi_bound(), 3.0 * options.cap);
}

// The tokenizer puts nothing around texts, so that a template which does the same gives the same logits.
TEST(Reward, ReadsAConversationByItsOwnTemplate) {
  const test::TemporaryFolder folder;
  std::filesystem::copy(golden / "llama", folder.path(), std::filesystem::copy_options::recursive);
  PotentialOptions options = options_of(folder.path());
  options.scope = "generation";
  options.messages = R"([{"role": "user", "content": "once upon a time"}])";
  const auto message = [&] { return error_of([&] { (void)make_reward(options, {}); }).text(); };
  EXPECT_THAT(message(), HasSubstr("has no chat template"));
  folder.write("chat_template.jinja",
               "{{ messages | map(attribute='content') | join(' ') }} {{ add_generation_prompt }}.");
  const std::vector<std::string> answers{"there was a fox", "the hen ran"},
      whole{"once upon a time there was a fox False.", "once upon a time the hen ran False."};
  const auto reward = make_reward(options, {});
  const std::vector<float> logits = model::RewardModel(folder.path()).logits(whole);
  EXPECT_EQ(reward->log_phi(answers), (std::vector<double>(logits.begin(), logits.end())));
  const std::string before = reward->fingerprint();
  folder.write("chat_template.jinja", "{{ messages[0].content }} {{ messages[1].content }}");
  EXPECT_NE(make_reward(options, {})->fingerprint(), before);
  options.scope = "all";
  EXPECT_THAT(message(), HasSubstr("set target.scope = generation"));
  options.scope = "generation";
  options.messages = "[]";
  EXPECT_THAT(message(), HasSubstr("reading target.messages: expected an array"));
}

TEST(Reward, RefusesWhatItCannotRead) {
  const auto message = [](const PotentialOptions& options) {
    return error_of([&] { (void)make_reward(options, {}); }).text();
  };
  EXPECT_THAT(message(options_of("")), HasSubstr("target.classifier is not set"));
  EXPECT_THAT(message(options_of(golden / "qwen2")),
              HasSubstr("the model's outputs are LABEL_0, LABEL_1, LABEL_2"));
  EXPECT_THAT(message(options_of(golden.parent_path() / "llama")),
              HasSubstr("'LlamaForCausalLM' is no reward model"));
  const test::TemporaryFolder folder;
  std::filesystem::copy(golden / "llama", folder.path(), std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder.path() / "tokenizer.json");
  EXPECT_THAT(message(options_of(folder.path())), HasSubstr("the folder has no tokenizer"));
  const model::RewardModel reward(golden / "llama");
  const std::string empty;
  EXPECT_THAT(error_of([&] { (void)reward.logits({&empty, 1}); }).text(), HasSubstr("has no tokens"));
}

}  // namespace
}  // namespace twistor::potential
