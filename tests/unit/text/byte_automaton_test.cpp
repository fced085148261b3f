// SPDX-License-Identifier: Apache-2.0
// Automata decide as the regular expressions do that they are made of.
#include "twistor/text/byte_automaton.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/text/regex.hpp"

namespace twistor::text {
namespace {

ByteAutomaton of(const std::string& pattern) {
  return ByteAutomaton::of_pattern(pattern, "making an automaton");
}

bool decides(const ByteAutomaton& automaton, std::string_view text) {
  return automaton.is_match(automaton.walk(automaton.start(), text));
}

/// Short texts over characters that patterns care about.
std::string random_text(std::uint64_t i) {
  static constexpr std::string_view letters = "aab bc_C1.\n-";
  Philox random(7, Stream::test, 0, i);
  std::string out;
  const auto length = static_cast<std::size_t>(random.uniform() * 9);
  for (std::size_t k = 0; k < length; ++k)
    out += letters[static_cast<std::size_t>(random.uniform() * static_cast<double>(letters.size()))];
  return out;
}

class AutomatonOfPattern : public testing::TestWithParam<const char*> {};

TEST_P(AutomatonOfPattern, DecidesAsTheRegularExpression) {
  const ByteAutomaton automaton = of(GetParam());
  const Regex regex(GetParam());
  int n_matches = 0;
  constexpr int n = 4000;
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::string text = random_text(i);
    const bool expected = regex.search(text).has_value();
    ASSERT_EQ(decides(automaton, text), expected) << testing::PrintToString(text);
    n_matches += expected ? 1 : 0;
  }
  EXPECT_GT(n_matches, 0);
  if (*GetParam() != '\0') {
    EXPECT_LT(n_matches, n);
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, AutomatonOfPattern,
                         testing::Values("", "ab", "a|bc", "(ab)+c", "a{2}", "a{2,}b", "a{1,2}?b$",
                                         "\\bab\\b", "\\Ba", "^a", "^$", "a$", "c\\z", "a\\Z", "[abc]1",
                                         "[^a]b", "[a-c]{3}", "(?i)c_?C", "\\d", "\\D\\d", "\\w\\W\\w",
                                         "\\s\\S", "(?:a|b)*c", "a.b", ".\\.", "(a|)b", "(a*)*b",
                                         "\\Aa.*b\\z", "[.\\n]", "\\x61\\x31", "[]a]1", "b-", "[b\\-]-",
                                         "c-|b{|a{,2}", "(^|\\W)b(\\W|$)"));

TEST(ByteAutomaton, LooksAtCharactersBeyondAscii) {
  EXPECT_TRUE(decides(of("ä+"), "xää"));
  EXPECT_FALSE(decides(of("^ä$"), "ö"));
  EXPECT_TRUE(decides(of("^.$"), "\u20AC"));
  EXPECT_FALSE(decides(of("^..$"), "\u20AC"));
  EXPECT_TRUE(decides(of("^[xé]{2}$"), "éx"));
  EXPECT_TRUE(decides(of("^[^a]$"), "é"));
}

TEST(ByteAutomaton, AMatchStays) {
  const ByteAutomaton automaton = of("ab");
  const std::int32_t matched = automaton.walk(automaton.start(), "xab");
  EXPECT_TRUE(automaton.is_match(matched));
  EXPECT_EQ(automaton.walk(matched, "anything"), matched);
  EXPECT_FALSE(decides(of("ab$"), "abc"));
}

TEST(ByteAutomaton, AreDecidedTogether) {
  const std::vector<ByteAutomaton> parts{of("ab"), of("c$"), of("\\ba")};
  const auto together = ByteAutomaton::combined(
      parts, [](const auto& is_there) { return is_there[0] && is_there[1] && !is_there[2]; }, "combining");
  int n_matches = 0;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    const std::string text = random_text(i);
    const bool expected = decides(parts[0], text) && decides(parts[1], text) && !decides(parts[2], text);
    ASSERT_EQ(decides(together, text), expected) << testing::PrintToString(text);
    n_matches += expected ? 1 : 0;
  }
  EXPECT_GT(n_matches, 0);
}

TEST(ByteAutomaton, HasNoMoreStatesThanTextsThatDiffer) {
  const auto any = [](const auto& is_there) { return is_there[0] || is_there[1]; };
  const auto all = [](const auto& is_there) { return is_there[0] && is_there[1]; };
  const std::vector<ByteAutomaton> parts{of("a"), of("b")};
  EXPECT_EQ(ByteAutomaton::combined(parts, any, "combining").n_states(), 2U);
  EXPECT_EQ(ByteAutomaton::combined(parts, all, "combining").n_states(), 4U);  // neither, a, b, both
  EXPECT_EQ(ByteAutomaton::combined(
                parts, [](const auto&) { return true; }, "combining")
                .n_states(),
            1U);
  const auto never = ByteAutomaton::combined(
      parts, [](const auto&) { return false; }, "combining");
  EXPECT_EQ(never.n_states(), 1U);
  EXPECT_FALSE(decides(never, "ab"));
}

TEST(ByteAutomaton, RefusesTooManyTogether) {
  std::vector<ByteAutomaton> parts;
  for (char c = 'a'; c <= 'l'; ++c) parts.push_back(of({c}));  // 4,096 sets of letters
  const auto all = [](const auto& is_there) { return std::ranges::all_of(is_there, std::identity()); };
  EXPECT_THAT(test::error_of([&] { (void)ByteAutomaton::combined(parts, all, "combining words"); }).text(),
              testing::AllOf(testing::HasSubstr("combining words"), testing::HasSubstr("4096 states")));
}

TEST(ByteAutomaton, RefusesWhatItDoesNotKnow) {
  for (const char* pattern :
       {"(a)\\1", "(?=a)", "(?<!a)b", "a++", "\\p{L}", "[[:alpha:]]", "(?P<x>a)", "a(?i)b", "(", ")", "[a",
        "*a", "a\\", "[a-é]", "a{3,2}", "\\x6", "a{1,4000}", "(*ACCEPT)"}) {
    const Error error = test::error_of([&] { (void)of(pattern); });
    EXPECT_EQ(error.kind(), ErrorKind::config) << pattern;
    EXPECT_THAT(error.hint(), testing::Not(testing::IsEmpty())) << pattern;
  }
  const Error too_large = test::error_of([] { (void)of("a.{12}b"); });
  EXPECT_THAT(too_large.what(), testing::HasSubstr("more than 2000 states"));
}

}  // namespace
}  // namespace twistor::text
