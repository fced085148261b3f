// SPDX-License-Identifier: Apache-2.0
// The toxicity classifier with its files: a small one against PyTorch, the real one against its published
// scores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "potential/kinds/toxicity_bilstm.hpp"
#include "support/engines.hpp"
#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {
namespace {

using potential::ToxicityBilstm;
const std::filesystem::path golden = std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/bilstm";

potential::PotentialOptions options_of(const std::filesystem::path& folder, const std::string& class_name) {
  potential::PotentialOptions options;
  options.potential = "toxicity_bilstm";
  options.classifier = folder;
  options.class_name = class_name;
  return options;
}

std::vector<double> log_phi(const potential::PotentialOptions& options, const std::vector<std::string>& texts,
                            std::shared_ptr<const device::Engine> engine = nullptr) {
  potential::TargetContext context = run::target_context({}, nullptr, nullptr);
  context.engine = std::move(engine);
  return potential::make_text_scorer(options, context)->log_phi(texts);
}

class ToxicityOnEngines : public testing::TestWithParam<const char*> {};

TEST_P(ToxicityOnEngines, EqualsAnIndependentLstm) {
  const auto engine = test::engine_named(GetParam());
  if (engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  const auto cases = nlohmann::json::parse(std::ifstream(golden / "cases.json"));
  std::vector<std::string> texts;
  for (const auto& one : cases) texts.push_back(one["text"]);
  for (std::size_t c = 0; c < ToxicityBilstm::class_names().size(); ++c) {
    auto options = options_of(golden, ToxicityBilstm::class_names()[c]);
    const auto values = log_phi(options, texts, engine);
    options.negate = true;
    const auto negated = log_phi(options, texts, engine);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      // float32 against float64: 100 steps of rounding. On a GPU 2.3e-5 was seen.
      EXPECT_NEAR(values[i] - negated[i], cases[i]["logits"][c].get<double>(), 5e-5) << texts[i] << " " << c;
      EXPECT_NEAR(std::exp(values[i]) + std::exp(negated[i]), 1, 1e-12);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ToxicityOnEngines, test::every_engine,
                         [](const auto& test) { return std::string(test.param); });

TEST(Toxicity, ATextScoresTheSameInAnyBatch) {
  const auto options = options_of(golden, "insult");
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i)  // more than are in memory at a time
    texts.push_back("the " + std::string(static_cast<std::size_t>(i % 7), 'a') +
                    (i % 3 == 0 ? " fox" : " hen ate a"));
  const auto together = log_phi(options, texts);
  for (const std::size_t i : {0, 1, 127, 128, 299})
    EXPECT_EQ(log_phi(options, {texts[i]}).front(), together[i]);
}

TEST(Toxicity, RefusesAnUnknownClassAndFilesThatDoNotFit) {
  const auto message = [](const potential::PotentialOptions& options) {
    return test::message_of([&] { return log_phi(options, {}); });
  };
  EXPECT_THAT(message(options_of(golden, "rude")), testing::HasSubstr("expected one of toxic, severe_toxic"));
  EXPECT_THAT(message(options_of("", "toxic")), testing::HasSubstr("set target.classifier"));
  EXPECT_THAT(message(options_of(golden / "none", "toxic")), testing::HasSubstr("none/"));
}

class PublishedScores : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = config::output_path("${TWISTOR_CACHE}/models/toxicity");
    if (!std::filesystem::exists(folder_ / "words.json"))
      GTEST_SKIP() << "launch/get_model.sh toxicity fetches it";
  }
  // exp(log phi) of all six classes.
  [[nodiscard]] std::vector<double> scores(const std::string& text) const {
    std::vector<double> result;
    for (const std::string& name : ToxicityBilstm::class_names())
      result.push_back(std::exp(log_phi(options_of(folder_, name), {text}).front()));
    return result;
  }
  std::filesystem::path folder_;
};

// The page of toxic-comment-classifier 0.3.0 on PyPI.
TEST_F(PublishedScores, OfOneTextInAllClasses) {
  const std::vector<double> published = {0.9889402985572815,  0.07256772369146347, 0.620429277420044,
                                         0.01934845559298992, 0.8664075136184692,  0.04072948172688484};
  EXPECT_THAT(scores("You are so dumb and stupid!"),
              testing::Pointwise(testing::DoubleNear(1e-5), published));
}

TEST_F(PublishedScores, MeansOverTheClasses) {
  const std::pair<const char*, double> published[] = {{"You are so dumb and stupid!", 0.4347},
                                                      {"I hate you so much!", 0.1395},
                                                      {"This is wonderful news.", 0.0013},
                                                      {"You're disgusting!", 0.3110},
                                                      {"Absolutely love your energy!", 0.0088},
                                                      {"You're the worst person ever!", 0.0937},
                                                      {"Have a nice day :)", 0.0115}};
  for (const auto& [text, mean] : published) {
    const auto all = scores(text);
    EXPECT_NEAR(std::accumulate(all.begin(), all.end(), 0.0) / 6, mean, 5.1e-5) << text;
  }
}

}  // namespace
}  // namespace twistor::app
