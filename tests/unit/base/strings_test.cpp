// SPDX-License-Identifier: Apache-2.0
// Trimming, splitting and joining at their edges.
#include "twistor/base/strings.hpp"

#include <gmock/gmock.h>

namespace twistor {
namespace {

using testing::ElementsAre;

TEST(Strings, TrimTakesBlanksOffBothEndsOnly) {
  EXPECT_EQ(trim("  a b\t\r"), "a b");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("\n a\n"), "\n a\n") << "a line end is no blank unless asked for";
  EXPECT_EQ(trim("--a-b--", "-"), "a-b");
}

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_THAT(split("a,b,c", ','), ElementsAre("a", "b", "c"));
  EXPECT_THAT(split(",a,,", ','), ElementsAre("", "a", "", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
}

TEST(Strings, LinesAreTakenOneByOne) {
  std::string_view rest = "first\n\nlast";
  EXPECT_EQ(take_line(rest), "first");
  EXPECT_EQ(take_line(rest), "");
  EXPECT_EQ(rest, "last");
  EXPECT_EQ(take_line(rest), "last");
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(take_line(rest), "");
  rest = "ended\n";
  EXPECT_EQ(take_line(rest), "ended");
  EXPECT_TRUE(rest.empty()) << "a line end at the end begins no further line";
}

TEST(Strings, AlternativesReadAsASentence) {
  using Choices = std::vector<std::string_view>;
  EXPECT_EQ(join_alternatives(Choices{}), "nothing");
  EXPECT_EQ(join_alternatives(Choices{"a"}), "a");
  EXPECT_EQ(join_alternatives(Choices{"a", "b"}), "a or b");
  EXPECT_EQ(join_alternatives(Choices{"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace twistor
