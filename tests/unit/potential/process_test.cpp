// SPDX-License-Identifier: Apache-2.0
// Numbers from a command: right ones, nonsense, unfit options. What pipes do is tested in tests/unit/base.
#include "potential/kinds/process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Texts = std::vector<std::string>;

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.text();
  }
  return "no error";
}

TEST(Process, GetsTextsAsJsonAndAnswersWithNumbers) {
  PotentialOptions options;
  options.potential = "process";
  options.command = "python3 " TWISTOR_SOURCE_DIR "/configs/reward.py";
  options.beta = 2;
  options.cap = 0.35;
  const auto scorer = make_text_scorer(options, {});
  const auto values = scorer->log_phi(Texts{"aa \"b\"\n", "",
                                            "\xFF"
                                            "aé\\",
                                            "abcdef"});
  EXPECT_THAT(values, ElementsAre(testing::DoubleEq(0.4), 0, testing::DoubleEq(0.2), 0.7));
  EXPECT_THAT(scorer->log_phi(Texts{"a"}), ElementsAre(testing::DoubleEq(0.2))) << "it goes on";
  EXPECT_EQ(scorer->log_phi_bound(), 0.7);
}

TEST(Process, SendsLinesOfJson) {
  ProcessScorer scorer({.command = "while IFS= read -r line; do case $line in '{\"text\": \"a\\nb\"}') echo "
                                   "-inf;; *) echo ' 1e-3 ';; esac; done"});
  EXPECT_THAT(scorer.log_phi(Texts{"a\nb", "b"}), ElementsAre(log_zero, 1e-3));
}

TEST(Process, NonsenseNamesTheText) {
  for (const char* answer : {"nan", "inf", "", "1 2", "yes", "0x10", "1e999"}) {
    ProcessScorer scorer({.command = std::string("while read line; do echo '") + answer + "'; done"});
    const std::string text = message([&] { (void)scorer.log_phi(Texts{"good text"}); });
    EXPECT_THAT(text, HasSubstr(std::string("to the text 'good text' it said '") + answer + "'"));
  }
}

TEST(Process, RefusesUnfitOptions) {
  EXPECT_THAT(message([] { ProcessScorer({}); }), HasSubstr("set target.command"));
  EXPECT_THAT(message([] { ProcessScorer({.command = "cat", .timeout_s = 0}); }),
              HasSubstr("target.timeout_s is 0"));
  EXPECT_THAT(message([] { ProcessScorer({.command = "cat", .beta = 0}); }), HasSubstr("target.beta is 0"));
  EXPECT_THAT(message([] { ProcessScorer({.command = "cat", .cap = log_zero}); }),
              HasSubstr("target.cap is -inf"));
}

}  // namespace
}  // namespace twistor::potential
