// SPDX-License-Identifier: Apache-2.0
// Files of prompts: what lines give, their keys, and what is refused by line.
#include "twistor/text/prompt_list.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace twistor::text {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Without a tokenizer: token ids alone.
std::vector<ListedPrompt> read(const std::string& lines) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "p.jsonl") << lines;
  PromptListOptions options;
  options.length = 7;
  options.context_length = 16;
  options.vocab_size = 10;
  return read_prompt_list(folder / "p.jsonl", options);
}

TEST(PromptList, GivesPromptsInTheOrderOfTheFile) {
  const std::vector<ListedPrompt> list =
      read("{\"ids\": [1, 2]}\r\n\n{\"ids\": [3], \"id\": 12, \"length\": 4}");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_THAT(list[0].prompt.ids, ElementsAre(1, 2));
  EXPECT_EQ(list[0].length, 7);
  EXPECT_EQ(list[0].id, "");
  EXPECT_EQ(list[1].id, "12");
  EXPECT_EQ(list[1].length, 4);
  EXPECT_EQ(describe(list), "2 prompts of 1 to 2 tokens");
}

TEST(PromptList, KeysByIdOrElseByPlace) {
  const std::vector<ListedPrompt> a = read("{\"ids\": [1]}\n{\"ids\": [2], \"id\": \"x\"}\n{\"ids\": [3]}");
  const std::vector<ListedPrompt> b = read("{\"ids\": [2], \"id\": \"x\"}\n{\"ids\": [2], \"id\": \"y\"}");
  EXPECT_EQ(a[0].key, 0U);
  EXPECT_EQ(a[2].key, 2U);
  EXPECT_EQ(a[1].key, b[0].key);
  EXPECT_NE(b[0].key, b[1].key);
  EXPECT_NE(digest(a), digest(b));
  EXPECT_EQ(digest(a), digest(read("{\"ids\": [1]}\n{\"ids\": [2], \"id\": \"x\"}\n\n{\"ids\": [3]}")));
}

TEST(PromptList, NamesTheLineThatItRefuses) {
  const auto refused = [](const std::string& second) {
    return test::message_of([&] { return read("{\"ids\": [1]}\n" + second); });
  };
  EXPECT_THAT(refused("[1]"), AllOf(HasSubstr("p.jsonl, line 2"), HasSubstr("an object")));
  EXPECT_THAT(refused("{\"ids\": [10]}"), AllOf(HasSubstr("line 2"), HasSubstr("token id 10")));
  EXPECT_THAT(refused("{\"ids\": [1], \"length\": 16}"),
              AllOf(HasSubstr("line 2"), HasSubstr("context of 16")));
  EXPECT_THAT(refused("{\"prompt\": \"a\"}"), AllOf(HasSubstr("line 2"), HasSubstr("no tokenizer")));
  EXPECT_THAT(refused("{\"messages\": \"a\"}"), AllOf(HasSubstr("line 2"), HasSubstr("an array")));
  EXPECT_THAT(refused("{\"ids\": [1], \"ID\": 3}"),
              AllOf(HasSubstr("line 2"), HasSubstr("'ID'"), HasSubstr("hint")));
}

}  // namespace
}  // namespace twistor::text
