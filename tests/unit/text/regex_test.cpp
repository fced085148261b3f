// SPDX-License-Identifier: Apache-2.0
// Regular expressions: matches, mistakes in patterns, texts that are no UTF-8, patterns that explode.
#include "twistor/text/regex.hpp"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor::text {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Match = Regex::Match;

TEST(Regex, SearchFindsTheLeftmostMatchFromAPlaceOn) {
  const Regex words("\\w+");
  EXPECT_EQ(words.search("  ab cd"), (Match{2, 4}));
  EXPECT_EQ(words.search("  ab cd", 3), (Match{3, 4}));
  EXPECT_EQ(words.search("  ab cd", 4), (Match{5, 7}));
  EXPECT_EQ(words.search("  ab cd", 7), std::nullopt);
  EXPECT_EQ(words.search(""), std::nullopt);
  EXPECT_EQ(words.search(std::string_view()), std::nullopt);
  EXPECT_EQ(Regex("(?<=a)b").search("ab", 1), (Match{1, 2})) << "lookbehind sees what lies before";
  EXPECT_EQ(words.pattern(), "\\w+");
}

TEST(Regex, ClassesAreUnicode) {
  EXPECT_EQ(Regex("^\\w+$").search("éяßक中"), (Match{0, 12}));
  EXPECT_EQ(Regex("\\d").search("٣"), (Match{0, 2}));
  EXPECT_EQ(Regex("\\s").search("\u3000"), (Match{0, 3}));
  EXPECT_EQ(Regex("\\p{Lu}").search("aÄ"), (Match{1, 3}));
  EXPECT_EQ(Regex(".").search("🙂"), (Match{0, 4}));
}

TEST(Regex, Options) {
  EXPECT_EQ(Regex("ÄB").search("äb"), std::nullopt);
  EXPECT_EQ(Regex("ÄB", "", {.ignore_case = true}).search("äb"), (Match{0, 3}));
  EXPECT_EQ(Regex("^b").search("a\nb"), std::nullopt);
  EXPECT_EQ(Regex("^b", "", {.is_multiline = true}).search("a\nb"), (Match{2, 3}));
}

TEST(Regex, FindAllTakesEmptyMatchesButNoneThatTouchesAnother) {
  EXPECT_THAT(Regex("x*").find_all("axxb"), ElementsAre(Match{0, 0}, Match{1, 3}, Match{4, 4}));
  EXPECT_THAT(Regex("").find_all("é"), ElementsAre(Match{0, 0}, Match{2, 2}));
  EXPECT_THAT(Regex("a").find_all("banana"), ElementsAre(Match{1, 2}, Match{3, 4}, Match{5, 6}));
}

TEST(Regex, ReplaceAllTakesTheReplacementAsItStands) {
  EXPECT_EQ(Regex(" {2,}").replace_all("a  b   c d", "$0\\1"), "a$0\\1b$0\\1c d");
  EXPECT_EQ(Regex("x*").replace_all("axxb", "-"), "-a-b-");
  EXPECT_EQ(Regex("(a)(b)").replace_all("ab", ""), "");
  EXPECT_EQ(Regex("a").replace_all("", "b"), "");
}

TEST(Regex, InvalidUtf8IsNeverPartOfAMatch) {
  EXPECT_THAT(Regex(".").find_all("a\xff"
                                  "b\xe2\x82"),
              ElementsAre(Match{0, 1}, Match{2, 3}));
  EXPECT_EQ(Regex("b").search("\x80\x80"
                              "b"),
            (Match{2, 3}));
  EXPECT_EQ(Regex("a.b").search("a\xff"
                                "b"),
            std::nullopt);
  EXPECT_EQ(Regex("é").replace_all("\xc3é\xa9", "e"),
            "\xc3"
            "e\xa9");
}

TEST(Regex, MistakesNameTheirPlace) {
  EXPECT_THAT([] { Regex("a(b", "reading x"); },
              ThrowsMessage<Error>(AllOf(HasSubstr("reading x"), HasSubstr("'a(b' is wrong at byte 3"),
                                         HasSubstr("missing closing parenthesis"))));
  for (const std::string pattern : {"[a", "*", "(?<n", "\\p{Nonsense}", "a{2,1}", "\xff", "(?<=a+)b", "\\C"})
    EXPECT_THROW(Regex{pattern}, Error) << pattern;
  EXPECT_THROW(Regex(std::string(10'000, '(') + std::string(10'000, ')')), Error);
  EXPECT_THROW(Regex("((a{1000}){1000}){1000}"), Error);
}

TEST(Regex, PatternsThatExplodeAreRefusedNotEndured) {
  const std::string text(40, 'a');
  EXPECT_THAT([&] { (void)Regex("^(a+)+$").search(text + "!"); },
              ThrowsMessage<Error>(HasSubstr("gave up on a text of 41 bytes")));
  // Deep recursion: more than the compiled code's stack, within the interpreter's limit or refused.
  const std::string brackets = std::string(100'000, '(') + std::string(100'000, ')');
  try {
    EXPECT_EQ(Regex("(\\((?1)*\\))").search(brackets), (Match{0, 200'000}));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
  }
  EXPECT_EQ(Regex("(?:a|b)*c").search(std::string(200'000, 'a') + "c"), (Match{0, 200'001}));
}

TEST(Regex, ThreadsShareOneProgram) {
  const Regex words("\\p{L}+|\\p{N}+");
  std::vector<std::size_t> counts(4);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < counts.size(); ++i)
    threads.emplace_back([&, i] {
      std::string text;
      for (std::size_t n = 0; n <= i; ++n) text += "ab12 ";
      for (int repeat = 0; repeat < 200; ++repeat) counts[i] += words.find_all(text).size();
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(counts, ElementsAre(400, 800, 1200, 1600));
}

}  // namespace
}  // namespace twistor::text
