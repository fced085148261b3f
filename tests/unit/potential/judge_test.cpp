// SPDX-License-Identifier: Apache-2.0
// The judge against sums over the tabular model, and what it refuses.
#include "potential/kinds/judge.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/potential/registry.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::potential {
namespace {

using testing::HasSubstr;

const model::TabularModel lm = model::TabularModel::random(5, 9, 3);
const ToyTokenizer tokenizer({"?", "a", "bc", " ", "!"});

JudgeScorer judge(const std::string& question, const std::string& answer, double beta = 1.5) {
  return {lm, tokenizer, {question, answer, beta}};
}

TEST(Judge, IsTheProbabilityOfTheAnswerByHand) {
  const JudgeScorer scorer = judge("a {text}!", "bc a");
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i)
    texts.push_back(i % 3 == 0 ? "bc" : i % 3 == 1 ? "" : "x a");  // three lengths, more than go together
  const auto values = scorer.log_phi(texts);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    Tokens question = {1, 3};
    for (const std::int64_t id : tokenizer.encode(texts[i] + "!")) question.push_back(id);
    EXPECT_NEAR(values[i], 1.5 * log_p0(lm, question, {2, 3, 1}), 1e-12) << texts[i];
    EXPECT_EQ(values[i], values[i % 3]);
  }
  EXPECT_TRUE(scorer.log_phi({}).empty());
}

TEST(Judge, TheTokenThatEndsGeneratedTextsEndsNoQuestion) {
  // As with chat templates, whose turns end with the model's end-of-text token: here "!".
  const auto base = std::make_shared<model::TabularModel>(model::TabularModel::random(5, 9, 3));
  const model::AbsorbingModel ending(base, 4, 1);
  PotentialOptions options;
  options.potential = "judge";
  options.template_text = "a {text}! ";
  options.answer = "bc";
  TargetContext context;
  context.lm = &ending;
  context.tokenizer = &tokenizer;
  const std::string text = "a";
  EXPECT_NEAR(make_text_scorer(options, context)->log_phi({&text, 1})[0], log_p0(*base, {1, 3, 1, 4, 3}, {2}),
              1e-12);
}

/// Puts "!" in front of texts.
class FrontTokenizer final : public ToyTokenizer {
 public:
  using ToyTokenizer::ToyTokenizer;
  text::SpecialTokens special_tokens() const override { return {{4}, {0}, "a rule"}; }
};

TEST(Judge, AQuestionBeginsAsItsModelsTextsDo) {
  const FrontTokenizer fronted({"?", "a", "bc", " ", "!"});
  PotentialOptions options;
  options.potential = "judge";
  options.template_text = "a {text}";
  options.answer = "bc";
  TargetContext context;
  context.lm = &lm;
  context.tokenizer = &fronted;
  const std::string text = "a";
  const auto with = make_text_scorer(options, context);
  EXPECT_NEAR(with->log_phi({&text, 1})[0], log_p0(lm, {4, 1, 3, 1}, {2}), 1e-12);
  context.has_special_tokens = false;
  const auto without = make_text_scorer(options, context);
  EXPECT_NEAR(without->log_phi({&text, 1})[0], log_p0(lm, {1, 3, 1}, {2}), 1e-12);
  EXPECT_NE(with->fingerprint(), without->fingerprint()) << "they are two targets";
  EXPECT_EQ(without->fingerprint(), judge("a {text}", "bc").fingerprint());
}

TEST(Judge, RefusesUnfitOptionsAndLongTexts) {
  const auto message = [](const std::function<void()>& action) -> std::string {
    try {
      action();
    } catch (const Error& error) {
      return error.text();
    }
    return "no error";
  };
  EXPECT_THAT(message([] { judge("no place", "a"); }), HasSubstr("expected {text} once"));
  EXPECT_THAT(message([] { judge("{text}{text}", "a"); }), HasSubstr("expected {text} once"));
  EXPECT_THAT(message([] { judge("{text}", ""); }), HasSubstr("target.answer has no tokens"));
  EXPECT_THAT(message([] { judge("{text}", "a", 0); }), HasSubstr("target.beta is 0"));
  const std::vector<std::string> nothing = {""}, much = {std::string(8, 'a')};
  EXPECT_THAT(message([&] { (void)judge("{text}", "a").log_phi(nothing); }), HasSubstr("has no tokens"));
  EXPECT_THAT(message([&] { (void)judge("{text}", "aa").log_phi(much); }),
              HasSubstr("have 10 tokens (expected at most 9"));
  PotentialOptions options;
  options.potential = "judge";
  EXPECT_THAT(message([&] { (void)make_text_scorer(options, {}); }), HasSubstr("needs a language model"));
}

}  // namespace
}  // namespace twistor::potential
