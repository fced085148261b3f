// SPDX-License-Identifier: Apache-2.0
// Words as Keras cuts them.
#include "twistor/text/keras_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"

namespace twistor::text {
namespace {

using testing::ElementsAre;

TEST(KerasWords, CutAtBlanksAndFilters) {
  const auto words =
      KerasWords::parse(R"({"filters": ".!-\t\n", "words": ["a", "you're", "été", "x\ry"]})", "test");
  EXPECT_EQ(words.size(), 4);
  EXPECT_THAT(words.encode("A you're--ÉTÉ!\n a."), ElementsAre(1, 2, 3, 1));
  EXPECT_THAT(words.encode("x\ry b a\u00A0a"), ElementsAre(4)) << "nothing else is a blank";
  EXPECT_THAT(words.encode("\xFF a \xFF"), ElementsAre(1));
  EXPECT_THAT(words.encode(""), ElementsAre());
  EXPECT_THAT(words.encode("  ...  "), ElementsAre());
}

TEST(KerasWords, RefuseWhatIsNoListOfWords) {
  for (const char* json :
       {"", "[]", R"({"filters": ""})", R"({"filters": "", "words": [1]})",
        R"({"filters": "", "words": ["a", "a"]})", R"({"filters": "", "words": [""]})",
        R"({"filters": "", "words": ["a b"]})", R"({"filters": ".", "words": ["a."]})",
        R"({"filters": "", "words": ["A"]})", R"({"filters": "é", "words": ["a"]})", R"({"words": ["a"]})"}) {
    const Error error = test::error_of([&] { return KerasWords::parse(json, "reading words"); });
    EXPECT_EQ(error.kind(), ErrorKind::data) << json;
    EXPECT_THAT(error.text(), testing::HasSubstr("reading words")) << json;
  }
}

}  // namespace
}  // namespace twistor::text
