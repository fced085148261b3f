// SPDX-License-Identifier: Apache-2.0
// The potentials of text that need no model: values by hand, their files, their mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "potential/kinds/lexicon.hpp"
#include "potential/kinds/regex.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
constexpr double infinity = std::numeric_limits<double>::infinity();

using Texts = std::vector<std::string>;

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "expected an Error";
  return {ErrorKind::internal, "", ""};
}

TEST(Regex, MatchesAnywhereInTheText) {
  const RegexScorer scorer("(?i)\\bHen\\b|ö$", -7);
  EXPECT_THAT(scorer.log_phi(Texts{"a hen.", "then", "", "Ö", "ö", "a \xFF hen"}),
              ElementsAre(0, -7, -7, 0, 0, 0));
  EXPECT_EQ(scorer.log_phi_bound(), 0);
}

TEST(Regex, ReadsItsOptions) {
  PotentialOptions options;
  options.potential = "regex";
  options.pattern = "x";
  options.log_floor = -2;
  options.beta = 1.5;
  EXPECT_THAT(make_text_scorer(options, {})->log_phi(Texts{"x", "y"}), ElementsAre(0, -3));
  options.log_floor = log_zero;
  EXPECT_THAT(make_text_scorer(options, {})->log_phi(Texts{"x", "y"}), ElementsAre(0, log_zero));
}

TEST(Regex, RefusesWhatIsNoPattern) {
  EXPECT_THAT(error_of([] { RegexScorer("", -1); }).text(), HasSubstr("set target.pattern"));
  const Error wrong = error_of([] { RegexScorer("(a", -1); });
  EXPECT_EQ(wrong.kind(), ErrorKind::config);
  EXPECT_THAT(wrong.text(), HasSubstr("target.pattern"));
  EXPECT_THAT(wrong.text(), HasSubstr("'(a'"));
  EXPECT_EQ(error_of([] { RegexScorer("a", 0.5); }).kind(), ErrorKind::config);
  EXPECT_EQ(error_of([] { RegexScorer("a", NAN); }).kind(), ErrorKind::config);
}

TEST(Regex, AMatchWithoutEndNamesTheText) {
  const RegexScorer scorer("^(a+)+$", -1);
  const Error error = error_of([&] { (void)scorer.log_phi(Texts{"b", std::string(40, 'a') + "!"}); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(), HasSubstr("on the text 'aaaa"));
  EXPECT_THAT(error.text(), HasSubstr("gave up"));
}

const char* const valences =
    "good\t2\nBad\t-1.5\t0.3\t[-1, -2]\r\n\n:)\t0.5\nköln\t4\nnot used\t9\ngood\t1\n";

TEST(Lexicon, ReadsTheFile) {
  const Lexicon lexicon = parse_lexicon(valences, "test");
  EXPECT_THAT(lexicon, testing::UnorderedElementsAre(testing::Pair("good", 1), testing::Pair("Bad", -1.5),
                                                     testing::Pair(":)", 0.5), testing::Pair("köln", 4),
                                                     testing::Pair("not used", 9)));
  EXPECT_THAT(parse_lexicon("a\t1", "test"), testing::UnorderedElementsAre(testing::Pair("a", 1)));
}

TEST(Lexicon, RefusesWhatIsNoLine) {
  for (const char* line :
       {"good", "\t1", "a\t", "a\tx", "a\t1x", "a\tnan", "a\tinf", "a\t1e999", "a\t 1", "\xFF\t1"}) {
    const Error error = error_of([&] { (void)parse_lexicon(std::string("ok\t1\n") + line, "reading x"); });
    EXPECT_EQ(error.kind(), ErrorKind::data) << line;
    EXPECT_THAT(error.text(), HasSubstr("reading x, line 2")) << line;
  }
}

TEST(Lexicon, WordsAreLookedUpAsTheyAreAndWithoutPunctuation) {
  const LexiconScorer scorer(parse_lexicon(valences, "test"), {});
  const Texts texts = {"good",     "GOOD!!",   "(Good) good,", "bad", "Bad",      ":) \t :-)",
                       "“KÖLN”",   "goodness", "...",          "",    "not used", "a\u00A0good\u3000Bad.",
                       "go\xFFod", "\xFF good"};
  EXPECT_THAT(scorer.log_phi(texts), ElementsAre(1, 1, 2, 0, -1.5, 0.5, 4, 0, 0, 0, 0, -0.5, 0, 1));
}

TEST(Lexicon, MeansAndCaps) {
  const Texts texts = {"good good nothing köln", "", "Bad"};
  const auto with = [](LexiconMode mode, double beta, double cap) {
    return LexiconScorer(parse_lexicon(valences, "test"), {mode, beta, cap});
  };
  EXPECT_THAT(with(LexiconMode::mean, 2, infinity).log_phi(texts), ElementsAre(3, 0, -3));
  EXPECT_THAT(with(LexiconMode::bag, 2, 2.5).log_phi(texts), ElementsAre(5, 0, -3));
  EXPECT_THAT(with(LexiconMode::bag, 1, -1).log_phi(texts), ElementsAre(-1, -1, -1.5));
  EXPECT_THAT(with(LexiconMode::distinct, 2, infinity).log_phi(texts), ElementsAre(10, 0, -3));
  EXPECT_EQ(with(LexiconMode::mean, 2, infinity).log_phi_bound(), 18);
  EXPECT_EQ(with(LexiconMode::bag, 2, infinity).log_phi_bound(), infinity);
  EXPECT_EQ(with(LexiconMode::bag, 2, 2.5).log_phi_bound(), 5);
  EXPECT_EQ(LexiconScorer({{"a", -1}, {"b", 2}, {"c", 3}}, {LexiconMode::distinct, 2}).log_phi_bound(), 10);
  EXPECT_EQ(LexiconScorer({{"a", -1.0}}, {}).log_phi_bound(), 0) << "a text without words";
}

TEST(Lexicon, RefusesUnfitOptions) {
  EXPECT_EQ(error_of([] { LexiconScorer({}, {}); }).kind(), ErrorKind::config);
  const Lexicon one = {{"a", 1.0}};
  EXPECT_EQ(error_of([&] { LexiconScorer(one, {LexiconMode::bag, 0, 1}); }).kind(), ErrorKind::config);
  EXPECT_EQ(error_of([&] { LexiconScorer(one, {LexiconMode::bag, 1, NAN}); }).kind(), ErrorKind::config);
  EXPECT_EQ(error_of([&] {
              LexiconScorer(one, {LexiconMode::bag, 1, -infinity});
            }).kind(),
            ErrorKind::config);
  PotentialOptions options;
  options.potential = "lexicon";
  EXPECT_THAT(error_of([&] { (void)make_text_scorer(options, {}); }).text(), HasSubstr("target.lexicon"));
  const test::TemporaryFolder folder;
  options.lexicon = folder.write("lexicon", "a\t1\n");
  options.mode = "last";
  EXPECT_THAT(error_of([&] { (void)make_text_scorer(options, {}); }).text(),
              HasSubstr("expected bag, distinct or mean"));
}

}  // namespace
}  // namespace twistor::potential
