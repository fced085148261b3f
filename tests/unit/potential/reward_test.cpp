// SPDX-License-Identifier: Apache-2.0
// Reward models on decoders against the reference implementation, and what is refused.
#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "potential/kinds/reward.hpp"
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
  EXPECT_THAT(message(options_of(folder.path())), HasSubstr("there is no tokenizer"));
  const model::RewardModel reward(golden / "llama");
  const std::string empty;
  EXPECT_THAT(error_of([&] { (void)reward.logits({&empty, 1}); }).text(), HasSubstr("has no tokens"));
}

}  // namespace
}  // namespace twistor::potential
