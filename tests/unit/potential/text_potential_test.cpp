// SPDX-License-Identifier: Apache-2.0
// From sequences to texts, options that nobody reads, and what ties files to a target.
#include "twistor/potential/text_potential.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/potential/checked_potential.hpp"
#include "twistor/potential/registry.hpp"
#include "unit/potential/brute_force.hpp"

namespace twistor::potential {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Notes the texts that it is asked for; log phi is minus their length.
class Recorder final : public TextScorer {
 public:
  explicit Recorder(std::vector<std::string>* seen) : seen_(seen) {}
  std::vector<double> log_phi(std::span<const std::string> texts) const override {
    std::vector<double> result;
    for (const std::string& text : texts) {
      seen_->push_back(text);
      result.push_back(text == "nan" ? NAN : -static_cast<double>(text.size()));
    }
    return result;
  }
  bool reads_pairs() const override { return true; }
  std::vector<double> log_phi_of_answers(const std::string& question,
                                         std::span<const std::string> answers) const override {
    std::vector<std::string> both;
    for (const std::string& answer : answers) both.push_back(question + "|" + answer);
    return log_phi(both);
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "recorder"; }

 private:
  std::vector<std::string>* seen_;
};

const ToyTokenizer tokenizer({"?", "a", "bc", " "});
const Tokens prompt = {1, 3};

TEST(TextPotential, ReadsPromptAndGenerationAndScoresEachTextOnce) {
  std::vector<std::string> seen;
  const TextPotential potential(std::make_unique<Recorder>(&seen), tokenizer, TextScope::all);
  const Tokens tokens = {2, 1, /**/ 1, 1, /**/ 2, 1};
  EXPECT_THAT(potential.log_phi({prompt, tokens, 2}), ElementsAre(-5, -4, -5));
  EXPECT_THAT(seen, ElementsAre("a bca", "a aa"));
  EXPECT_TRUE(potential.log_phi({prompt, {}, 2}).empty());
  EXPECT_EQ(seen.size(), 2u) << "an empty batch reached the scorer";
}

TEST(TextPotential, ReadsTheGenerationAlone) {
  std::vector<std::string> seen;
  const TextPotential potential(std::make_unique<Recorder>(&seen), tokenizer, TextScope::generation);
  EXPECT_THAT(potential.log_phi({prompt, Tokens{2, 1}, 2}), ElementsAre(-3));
  EXPECT_THAT(seen, ElementsAre("bca"));
  EXPECT_THAT(potential.description(), HasSubstr("generated text alone"));
}

TEST(TextPotential, ReadsTheGenerationAsAnAnswerToThePromptOrToAQuestion) {
  std::vector<std::string> seen;
  const Tokens tokens = {2, 1, /**/ 1, 1, /**/ 2, 1};
  const TextPotential potential(std::make_unique<Recorder>(&seen), tokenizer, TextScope::pair);
  EXPECT_THAT(potential.log_phi({prompt, tokens, 2}), ElementsAre(-6, -5, -6));
  EXPECT_THAT(seen, ElementsAre("a |bca", "a |aa"));
  EXPECT_THAT(potential.description(), HasSubstr("as the answer to the prompt"));
  seen.clear();
  const TextPotential asked(std::make_unique<CheckedScorer>("mine", std::make_unique<Recorder>(&seen)),
                            tokenizer, TextScope::pair, {}, "why?");
  (void)asked.log_phi({prompt, tokens, 2});
  EXPECT_THAT(seen, ElementsAre("why?|bca", "why?|aa"));
  EXPECT_THAT(asked.description(), HasSubstr("the answer to 'why?'"));
}

TEST(TextPotential, IdsBeyondTheVocabularyBecomeReplacementCharacters) {
  std::vector<std::string> seen;
  const TextPotential potential(std::make_unique<Recorder>(&seen), tokenizer, TextScope::generation);
  (void)potential.log_phi({prompt, Tokens{4, 1, 99}, 3});
  EXPECT_THAT(seen, ElementsAre("\uFFFDa\uFFFD"));
}

TEST(TextPotential, ATextEndsBeforeItsEndToken) {
  std::vector<std::string> seen;
  const TextPotential potential(std::make_unique<Recorder>(&seen), tokenizer, TextScope::all,
                                model::EndRule(1));
  const Tokens tokens = {2, 1, 1, /**/ 2, 3, 2, /**/ 1, 1, 1};
  EXPECT_EQ(potential.log_phi({prompt, tokens, 3}).size(), 3u);
  EXPECT_THAT(seen, ElementsAre("a bc", "a bc bc", "a ")) << "the prompt's token 1 ends nothing";
}

TEST(TextPotential, ScopesHaveNames) {
  EXPECT_EQ(from_name<TextScope>("all", "target.scope"), TextScope::all);
  EXPECT_EQ(from_name<TextScope>("generation", "target.scope"), TextScope::generation);
  EXPECT_EQ(from_name<TextScope>("pair", "target.scope"), TextScope::pair);
  EXPECT_THROW((void)from_name<TextScope>("prompt", "target.scope"), Error);
}

TEST(CheckedScorer, NamesTheTextOfABadValue) {
  std::vector<std::string> seen;
  const CheckedScorer scorer("mine", std::make_unique<Recorder>(&seen));
  const std::vector<std::string> texts = {"ab", "nan"};
  try {
    (void)scorer.log_phi(texts);
    FAIL() << "took a NaN";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_THAT(error.text(), HasSubstr("'mine': log phi of the text 'nan' is nan"));
  }
}

TEST(Registry, RefusesAnOptionThatTheKindDoesNotRead) {
  PotentialOptions options;
  options.potential = "contains";
  options.ids = {1};
  options.scope = "generation";
  try {
    (void)make_potential(options, {});
    FAIL() << "took an option that nobody reads";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), HasSubstr("target.scope is set, but this potential does not read it"));
    EXPECT_THAT(error.text(), HasSubstr("words, ids, log_floor, beta"));
  }
}

TEST(Options, TheDigestKnowsEveryMemberAndTheContentsOfFiles) {
  std::vector<std::string> digests = {digest(PotentialOptions{})};
  const auto keep = [&digests](const PotentialOptions& options) { digests.push_back(digest(options)); };
  PotentialOptions of_length, of_scores, any;
  of_length.length = 3, of_scores.scores = {3};
  keep(of_length), keep(of_scores);
  EXPECT_THAT(keys_that_are_set(of_scores), testing::ElementsAre("scores"));
  std::vector<config::Key> keys;
  any.visit_keys([&](const config::Key& key, const config::Value&) { keys.push_back(key); });
  for (const config::Key& key : keys) {
    PotentialOptions options;
    options.visit_keys([&](const config::Key& visited, const config::Value& value) {
      if (visited.name != key.name) return;
      std::visit(
          [&]<class T>(const T& member) {
            if constexpr (std::is_same_v<T, std::string*>) *member = "regex";
            if constexpr (std::is_same_v<T, bool*>) *member = !*member;
            if constexpr (std::is_same_v<T, double*>) *member = 3;
            if constexpr (std::is_same_v<T, std::vector<std::int64_t>*>) *member = {3};
          },
          value);
    });
    EXPECT_THAT(keys_that_are_set(options), testing::ElementsAre(key.name)) << key.name;
    if (!key.is_input) keep(options);
  }
  const test::TemporaryFolder folder;
  PotentialOptions options;
  for (const char* name : {"a", "b"}) {
    for (const char* contents : {"1 2\n", "1 3\n"}) {
      options.table = folder.write(name, contents);
      digests.push_back(digest(options));
    }
  }
  ASSERT_EQ(digests[digests.size() - 1], digests[digests.size() - 3]) << "the file's place should not count";
  digests.resize(digests.size() - 2);
  std::sort(digests.begin(), digests.end());
  EXPECT_EQ(std::unique(digests.begin(), digests.end()), digests.end());
}

}  // namespace
}  // namespace twistor::potential
