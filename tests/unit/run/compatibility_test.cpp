// SPDX-License-Identifier: Apache-2.0
// Whether a checkpoint belongs to a run: texts with quotes and comment signs, prompts by tokens, and older
// files.
#include "twistor/run/compatibility.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::run {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Config config_with_prompt(const std::string& text) {
  Config config;
  config.model.path = "m";
  config.prompt.text = text;
  return config;
}

/// The checkpoint of a run, by the way of the text that files hold.
store::Checkpoint checkpoint_of(const Config& config, std::vector<std::int64_t> prompt) {
  store::Checkpoint c;
  c.config_text = to_text(config);
  c.model_fingerprint = "0123abcd";
  c.twist_form = config.twist.form;
  c.objective = config.train.objective;
  c.target_identity = "phi";
  c.prompt = std::move(prompt);
  return c;
}

Expectation expectation_of(const Config& config, std::vector<std::int64_t> prompt) {
  return {config, "0123abcd", "phi", std::move(prompt)};
}

/// What is said against using the checkpoint; empty if nothing.
std::string refusal(const store::Checkpoint& checkpoint, const Expectation& expected,
                    Purpose purpose = Purpose::go_on_learning) {
  try {
    require_compatible(checkpoint, expected, purpose);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return {};
}

TEST(Compatibility, TellsTextsApartAfterSignsThatMayBeginAComment) {
  const std::vector<std::vector<std::string>> families = {
      {"once # upon", "once # the fox", "once", "once #", "once # upon "},
      {"a;b", "a;c", "a ; b", "a"},
      {"x = 1", "x = 2", "x", "x ="},
      {"say \"hi\" # 1", "say \"hi\" # 2", "say \"hi\"", "say hi # 1", "\"", "\\\"", "\\"},
      {"[smc]\nparticles = 3", "[smc]\nparticles = 4", "[smc]"}};
  for (const auto& family : families) {
    for (const std::string& learned : family) {
      for (const std::string& now : family) {
        Config then = config_with_prompt(learned), other = config_with_prompt(now);
        std::string said = refusal(checkpoint_of(then, {}), expectation_of(other, {1}));
        EXPECT_EQ(said.empty(), learned == now) << learned << " against " << now << ": " << said;
        EXPECT_EQ(said.find("prompt.text is '") != std::string::npos, learned != now) << said;
        then.prompt.text = other.prompt.text = "p";
        then.target.words = learned;
        other.target.words = now;
        said = refusal(checkpoint_of(then, {1}), expectation_of(other, {1}), Purpose::use);
        EXPECT_EQ(said.empty(), learned == now) << learned << " against " << now << ": " << said;
        EXPECT_EQ(said.find("target.words is '") != std::string::npos, learned != now) << said;
      }
    }
  }
}

// The target's identity has their contents, not their places.
TEST(Compatibility, FilesOfTheTargetMayMove) {
  Config then = config_with_prompt("p"), now = then;
  then.target.potential = now.target.potential = "lexicon";
  then.target.lexicon = "here/words.txt";
  now.target.lexicon = "there/words.txt";
  store::Checkpoint checkpoint = checkpoint_of(then, {1});
  EXPECT_EQ(refusal(checkpoint, expectation_of(now, {1})), "");
  checkpoint.target_identity = "another phi";
  EXPECT_THAT(
      refusal(checkpoint, expectation_of(now, {1})),
      HasSubstr("target.lexicon is 'here/words.txt' in the checkpoint and 'there/words.txt' in this run"));
}

TEST(Compatibility, WhatMeasuresWithAllExactSamplesLearnedFromNone) {
  Config learned = config_with_prompt("p"), now = learned;
  for (const auto positives : {learn::Positives::exact, learn::Positives::both}) {
    learned.train.samples.positives = positives;
    now.train.samples.positives = learn::Positives::weighted;
    const std::string said = refusal(checkpoint_of(learned, {1}), expectation_of(now, {1}), Purpose::use);
    EXPECT_NE(said.find("train.positives is '"), std::string::npos) << said;
    // The other way round half of the samples measure, and the twist has seen none.
    EXPECT_EQ(refusal(checkpoint_of(now, {1}), expectation_of(learned, {1}), Purpose::use), "");
  }
}

TEST(Compatibility, SaysWhyAModelOrAPromptIsAnother) {
  const Config then = config_with_prompt("p");
  Config now = then;
  now.model.padded_tokens = model::PaddedTokens::keep;
  now.prompt.special_tokens = text::FrontTokens::none;
  EXPECT_EQ(refusal(checkpoint_of(then, {1}), expectation_of(now, {1})), "")
      << "where neither makes a difference";
  const std::string said =
      refusal(checkpoint_of(then, {1, 2}), {now, "ffff", "phi", std::vector<std::int64_t>{2}});
  EXPECT_THAT(said,
              AllOf(HasSubstr("model.padded_tokens is 'mask' in the checkpoint and 'keep' in this run"),
                    HasSubstr("prompt.special_tokens is 'auto' in the checkpoint and 'none' in this run")));
}

TEST(Compatibility, PromptsAreTheSameIfTheirTokensAre) {
  const Config text = config_with_prompt("once # upon");
  Config ids = config_with_prompt("");
  ids.prompt.ids = {4, 5};
  EXPECT_EQ(refusal(checkpoint_of(text, {4, 5}), expectation_of(ids, {4, 5})), "");
  EXPECT_THAT(refusal(checkpoint_of(text, {4, 5}), expectation_of(ids, {4, 6})),
              AllOf(HasSubstr("prompt.text is '\"once # upon\"' in the checkpoint and '' in this run"),
                    HasSubstr("the prompt as tokens is '4,5' in the checkpoint and '4,6' in this run")));
  // One text, two tokenizers.
  EXPECT_THAT(refusal(checkpoint_of(text, {4, 5}), expectation_of(text, {9}), Purpose::use),
              HasSubstr("the prompt as tokens is '4,5'"));
  // A file from before tokens were stored.
  EXPECT_EQ(refusal(checkpoint_of(text, {}), expectation_of(text, {4, 5})), "");
  EXPECT_NE(refusal(checkpoint_of(text, {}), expectation_of(ids, {4, 5})), "");
}

TEST(Compatibility, NamesEverythingThatDiffers) {
  Config then = config_with_prompt("p");
  Config now = then;
  now.run.seed = 3;
  now.twist.form = "linear";
  now.train.trainer.adam.learning_rate = 0.01;
  now.model.dtype = device::Precision::bfloat16;
  now.target.beta = 2;
  now.smc.sweep.particles = then.smc.sweep.particles + 1;  // no matter for what was learned
  const std::string said =
      refusal(checkpoint_of(then, {1}), {now, "ffff", "another phi", std::vector<std::int64_t>{1}});
  for (const char* piece : {"fingerprint is '0123abcd' in the checkpoint and 'ffff' in this run",
                            "twist.form is 'mlp' in the checkpoint and 'linear' in this run",
                            "run.seed is '1' in the checkpoint and '3' in this run",
                            "train.learning_rate is '0.001' in the checkpoint and '0.01' in this run",
                            "model.dtype is 'float32' in the checkpoint and 'bfloat16' in this run",
                            "target.beta is '1' in the checkpoint and '2' in this run",
                            "the target is 'phi' in the checkpoint and 'another phi' in this run"})
    EXPECT_THAT(said, HasSubstr(piece));
  EXPECT_THAT(said, Not(HasSubstr("smc.particles")));
}

TEST(Compatibility, UsingATwistNeedsNothingThatOnlyLearningDependsOn) {
  const Config then = config_with_prompt("p");
  for (const char* change : {"train.learning_rate", "train.batch", "run.seed", "train.objective"}) {
    Config now = then;
    store::Checkpoint checkpoint = checkpoint_of(then, {1});
    const std::string key = change;
    if (key == "train.learning_rate") now.train.trainer.adam.learning_rate *= 2;
    if (key == "train.batch") now.train.samples.batch += 1;
    if (key == "run.seed") now.run.seed += 1;
    if (key == "train.objective") checkpoint.objective = "sixo";  // as a later version may write
    EXPECT_THAT(refusal(checkpoint, expectation_of(now, {1})), HasSubstr(key + " is '"));
    EXPECT_EQ(refusal(checkpoint, expectation_of(now, {1}), Purpose::use), "") << key;
  }
}

TEST(Compatibility, ValuesAreComparedAndNotTheirTexts) {
  const Config config = config_with_prompt("p");
  store::Checkpoint checkpoint = checkpoint_of(config, {1});
  // As a person might write it: other order, other spellings of numbers, defaults left out.
  checkpoint.config_text =
      "# by hand\nprompt.text = \"p\"\n[train]\nlearning_rate = 1e-3 # 0.001\n[model]\npath=m\n";
  EXPECT_EQ(refusal(checkpoint, expectation_of(config, {1})), "");
  checkpoint.config_text += "[smc]\nparticels = 3\n";
  EXPECT_THAT(
      refusal(checkpoint, expectation_of(config, {1})),
      AllOf(HasSubstr("reading the configuration in the checkpoint, line 8"), HasSubstr("smc.particels")));
}

}  // namespace
}  // namespace twistor::run
