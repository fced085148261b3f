// SPDX-License-Identifier: Apache-2.0
// all-MiniLM-L6-v2, where launch/get_model.sh has put it, against an independent implementation; and the
// sentiment head that ships with the project.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "potential/kinds/linear_head.hpp"
#include "potential/kinds/similarity.hpp"
#include "support/temporary_folder.hpp"

namespace twistor::potential {
namespace {

class MiniLm : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder / "model.safetensors"))
      GTEST_SKIP() << "launch/get_model.sh minilm has not been run";
  }

  static std::filesystem::path cache() {
    if (const char* given = std::getenv("TWISTOR_CACHE")) return given;
    const char* home = std::getenv("HOME");
    return std::filesystem::path(home == nullptr ? "/" : home) / ".cache/twistor";
  }
  const std::filesystem::path folder = cache() / "models/minilm";
};

TEST_F(MiniLm, SimilaritiesAreTheReferences) {
  const auto cases = nlohmann::json::parse(
      test::read_file(std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/minilm_similarities.json"));
  ASSERT_EQ(cases.size(), 10U);
  const model::SentenceEncoder encoder(folder);
  EXPECT_EQ(encoder.max_tokens(), 256);
  for (const auto& one : cases) {
    const std::vector<std::string> texts{one[0], one[1]};
    const auto vectors = encoder.embed(texts);
    const auto a = std::span(vectors).first(384), b = std::span(vectors).last(384);
    EXPECT_NEAR(cosine(a, b), one[2].get<double>(), 1e-5) << texts[0];
  }
}

TEST_F(MiniLm, TheSentimentHeadTellsPraiseFromBlame) {
  PotentialOptions options;
  options.encoder = folder;
  options.head = std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/sentiment-minilm/head.safetensors";
  options.class_name = "positive";
  const std::vector<std::string> texts{"A moving, beautifully acted film.",
                                       "A dull and clumsy mess of a film."};
  const auto values = make_linear_head(options, {})->log_phi(texts);
  EXPECT_GT(values[0], std::log(0.8));
  EXPECT_LT(values[1], std::log(0.2));
}

}  // namespace
}  // namespace twistor::potential
