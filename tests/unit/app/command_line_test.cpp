// SPDX-License-Identifier: Apache-2.0
// The command line: what is understood, and how wrong words are refused.
#include "twistor/app/command_line.hpp"

#include <gmock/gmock.h>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;
const std::string reference = std::string(TWISTOR_SOURCE_DIR) + "/configs/reference.cfg";

Error error_of(const Words& words) {
  return test::error_of([&] { return read_command_line(words); });
}

TEST(CommandLine, ReadsAConfigurationWithOverrides) {
  for (const char* command : {"train", "distill", "evaluate", "sample"}) {
    const Words words = {
        command, "--smc.particles=7", reference, "--prompt.text=", "--prompt.ids=1,2", "--run.output", "x y"};
    const CommandLine line = read_command_line(words);
    EXPECT_TRUE(line.printout.empty());
    EXPECT_EQ(line.invocation.command, command);
    EXPECT_EQ(line.invocation.config_file, reference);
    EXPECT_EQ(line.invocation.config.smc.sweep.particles, 7);
    EXPECT_EQ(line.invocation.config.prompt.text, "");
    EXPECT_THAT(line.invocation.config.prompt.ids, ElementsAre(1, 2));
    EXPECT_EQ(line.invocation.config.run.output, "x y");
    EXPECT_TRUE(wants_ranks(words));
  }
}

TEST(CommandLine, ReadsCommandsWithoutAConfiguration) {
  const Words tokenize = {"tokenize", "model", "--text", "a  b"};
  EXPECT_EQ(read_command_line(tokenize).invocation.texts.back(), "a  b");
  EXPECT_FALSE(wants_ranks(tokenize));
  EXPECT_FALSE(read_command_line(tokenize).invocation.is_special);
  EXPECT_TRUE(read_command_line(Words{"tokenize", "m", "--special", "--text=a"}).invocation.is_special);
  EXPECT_EQ(read_command_line(Words{"tokenize", "model", "--text="}).invocation.texts.back(), "");
  EXPECT_EQ(read_command_line(Words{"tokenize", "--text=--x=y", "model"}).invocation.texts.back(), "--x=y");
  const Invocation score =
      read_command_line(Words{"score", "model", "--ids", "3 4,5", "--dtype=bfloat16"}).invocation;
  EXPECT_EQ(score.paths.front(), "model");
  EXPECT_THAT(score.ids, ElementsAre(3, 4, 5));
  EXPECT_EQ(score.dtype, device::Precision::bfloat16);
  EXPECT_EQ(score.special_tokens, text::FrontTokens::automatic);
  const Invocation bare =
      read_command_line(Words{"score", "m", "--text=a", "--special-tokens=none", "--padded-tokens", "keep"})
          .invocation;
  EXPECT_EQ(bare.special_tokens, text::FrontTokens::none);
  EXPECT_EQ(bare.padded_tokens, model::PaddedTokens::keep);
  EXPECT_EQ(read_command_line(Words{"info", "x.h5"}).invocation.paths.front(), "x.h5");
}

TEST(CommandLine, ReadsTextsToScore) {
  const Words words = {"score-text", reference, "--text", "a b", "--smc.particles=7", "--text=", "--json"};
  const Invocation texts = read_command_line(words).invocation;
  EXPECT_EQ(texts.config_file, reference);
  EXPECT_EQ(texts.config.smc.sweep.particles, 7);
  EXPECT_THAT(texts.texts, ElementsAre("a b", ""));
  EXPECT_TRUE(texts.is_json);
  EXPECT_FALSE(wants_ranks(words)) << "scoring texts needs no ranks";
  const Invocation file = read_command_line(Words{"score-text", reference, "--file=x.jsonl"}).invocation;
  EXPECT_EQ(file.texts_file, "x.jsonl");
  EXPECT_FALSE(file.is_json);
}

TEST(CommandLine, OfTwoWithOneKeyTheLastCounts) {
  const Words twice = {"train", reference, "--smc.particles=3", "--run.seed=2", "--smc.particles=5"};
  EXPECT_EQ(read_command_line(twice).invocation.config.smc.sweep.particles, 5);
  EXPECT_EQ(read_command_line(Words{"tokenize", "m", "--text=a", "--text=b"}).invocation.texts.back(), "b");
  const Words files = {"score-text", reference, "--file=a", "--file=b"};
  EXPECT_EQ(read_command_line(files).invocation.texts_file, "b");
  // A wrong value is refused even if a later one would replace it.
  EXPECT_EQ(error_of({"train", reference, "--smc.particles=x", "--smc.particles=5"}).kind(),
            ErrorKind::config);
}

TEST(CommandLine, HelpListsTheKeysOfTheCommandBySections) {
  struct Case {
    const char* command;
    Words sections, others;
  };
  const Case cases[] = {
      {"train",
       {"model", "prompt", "target", "twist", "smc", "train", "evaluate", "exact", "run"},
       {"sample"}},
      {"evaluate", {"model", "target", "smc", "evaluate", "exact", "run"}, {"sample", "train"}},
      {"sample", {"model", "prompt", "target", "twist", "smc", "sample", "run"}, {"train", "exact"}},
      {"score-text", {"model", "prompt", "target"}, {"smc", "train", "sample", "run"}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.command);
    const std::string help = read_command_line(Words{c.command, "--help"}).printout;
    std::size_t at = 0;  // sections in order, each before its keys
    for (const std::string& section : c.sections) {
      const std::size_t begin = help.find("\n[" + section + "]:\n", at);
      ASSERT_NE(begin, std::string::npos) << section << " in " << help;
      at = help.find("  --" + section + ".", begin);
      ASSERT_NE(at, std::string::npos) << section;
    }
    for (const std::string& section : c.others)
      EXPECT_THAT(help, Not(HasSubstr("--" + section + "."))) << section;
  }
  const std::string sample = read_command_line(Words{"sample", "--help"}).printout;
  EXPECT_THAT(sample, HasSubstr("--evaluate.checkpoint "));
  EXPECT_THAT(sample, Not(HasSubstr("--evaluate.repeats")));
  // What it does not read is understood all the same: a configuration serves several commands.
  EXPECT_EQ(read_command_line(Words{"sample", reference, "--train.batch", "9"})
                .invocation.config.train.samples.batch,
            9);
}

TEST(CommandLine, HelpNamesEveryCommandAndEveryKey) {
  const std::string help = read_command_line(Words{"--help"}).printout;
  for (const char* command :
       {"train", "distill", "evaluate", "sample", "score-text", "tokenize", "score", "info"}) {
    EXPECT_THAT(help, HasSubstr(command));
    EXPECT_THAT(read_command_line(Words{command, "--help"}).printout,
                HasSubstr(std::string("usage: twistor ") + command));
    EXPECT_FALSE(wants_ranks(Words{command, "--help"}));
  }
  const std::string keys = read_command_line(Words{"train", "--help"}).printout +
                           read_command_line(Words{"evaluate", "--help"}).printout +
                           read_command_line(Words{"sample", "--help"}).printout;
  run::Config config;
  for (const config::Field& field : fields_of(config)) {
    EXPECT_THAT(keys, HasSubstr("--" + field.key + " "));
    EXPECT_THAT(keys, HasSubstr(std::string(field.about.meaning).substr(0, 20)));
  }
  EXPECT_THAT(keys, HasSubstr("K, particles in one population [64]"));
  EXPECT_EQ(read_command_line(Words{"--version"}).printout, store::program_name() + "\n");
}

TEST(CommandLine, RefusesWrongWords) {
  struct Bad {
    Words words;
    std::string message;
  };
  const Bad table[] = {
      {{}, "expected a command, got nothing"},
      {{"trian"}, "unknown command 'trian'"},
      {{"--smc.particles=3"}, "unknown command '--smc.particles=3'"},
      {{"train"}, "train takes one file, got 0"},
      {{"train", "a.cfg", "b.cfg"}, "train takes one file, got 2: the second is 'b.cfg'"},
      {{"train", reference, "--particles=3"}, "unknown option --particles"},
      {{"train", reference, "--smc.particles"},
       "the required argument for option '--smc.particles' is missing"},
      {{"train", reference, "--text=x"}, "unknown option --text"},
      {{"info"}, "info takes one file, got 0"},
      {{"info", "x", "--smc.particles=3"}, "unknown option --smc.particles"},
      {{"tokenize", "m"}, "tokenize needs exactly one of --text and --messages"},
      {{"tokenize", "m", "--text=a", "--messages=[]"}, "tokenize needs exactly one of --text and --messages"},
      {{"tokenize", "m", "--ids=3"}, "unknown option --ids"},
      {{"score-text", reference}, "score-text needs --text, as often as you like, or else --file"},
      {{"score-text", reference, "--text=a", "--file=b"}, "score-text needs --text, as often as you like"},
      {{"score-text", reference, "--ids=1"}, "unknown option --ids"},
      {{"score", "m"}, "score needs exactly one of --text and --ids"},
      {{"score", "m", "--text=a", "--ids=1"}, "score needs exactly one of --text and --ids"},
      {{"score", "m", "--text=a", "--special-tokens=no"},
       "--special-tokens: expected one of: auto, none, got 'no'"},
      {{"score", "m", "--text=a", "--padded-tokens=no"},
       "--padded-tokens: expected one of: mask, keep, got 'no'"},
      {{"score", "m", "--ids="}, "score needs exactly one of --text and --ids"},
      {{"score", "m", "--ids=a"}, "--ids: expected token ids, separated by commas or blanks, got 'a'"},
      {{"score", "m", "--ids=1", "--dtype=float64"},
       "--dtype: expected one of: float32, bfloat16, got 'float64'"},
  };
  for (const Bad& bad : table) {
    SCOPED_TRACE(testing::PrintToString(bad.words));
    const Error error = error_of(bad.words);
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), HasSubstr("reading the command line: " + bad.message));
  }
  EXPECT_THAT(error_of({}).hint(), HasSubstr("usage: twistor COMMAND"));
}

TEST(CommandLine, WrongKeysAreErrorsOfTheConfiguration) {
  const Error unknown = error_of({"train", reference, "--smc.particels", "3"});
  EXPECT_EQ(unknown.kind(), ErrorKind::config);
  EXPECT_THAT(unknown.text(), HasSubstr("did you mean smc.particles?"));
  EXPECT_EQ(error_of({"train", "/nowhere/x.cfg"}).kind(), ErrorKind::no_input);
}

}  // namespace
}  // namespace twistor::app
