// SPDX-License-Identifier: Apache-2.0
// Messages rendered by chat templates, against transformers.
#include "twistor/text/chat_template.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"

namespace twistor::text {
namespace {

using nlohmann::ordered_json;
using testing::AllOf;
using testing::HasSubstr;

std::string render(const std::string& source,
                   const std::string& messages = R"([{"role": "user", "content": "Hi"}])",
                   const std::string& arguments = {}) {
  return ChatTemplate({source, "template", "<s>", "</s>"}).render(messages, arguments);
}

Error error_of(const std::string& source,
               const std::string& messages = R"([{"role": "user", "content": "Hi"}])",
               const std::string& arguments = {}) {
  return test::error_of([&] { (void)render(source, messages, arguments); });
}

TEST(ChatTemplate, RendersAsTheReference) {
  std::ifstream file(std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/chat/cases.json");
  const ordered_json cases = ordered_json::parse(file);
  ASSERT_GE(cases.size(), 150u);
  for (const ordered_json& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const auto source = c["template"].get<std::string>();
    const auto run = [&] { return render(source, c["messages"].dump(), c["arguments"].dump()); };
    if (c.contains("refused")) {
      EXPECT_THAT(test::error_of(run).text(), HasSubstr(c["refused"].get<std::string>()));
      continue;
    }
    try {
      EXPECT_EQ(run(), c["text"].get<std::string>());
    } catch (const Error& error) {
      ADD_FAILURE() << error.text();
    }
  }
}

TEST(ChatTemplate, NamesAllThatIsNotSupported) {
  const Error error = error_of(
      "{{ 'a' | shuffle }}\n{{ 1 is odd | wordcount }}\n{{ 2 ** 3 }}{{ messages.sort() }}{{ 1 is prime }}");
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.text(),
              AllOf(HasSubstr("the filter 'shuffle' (line 1)"), HasSubstr("the filter 'wordcount' (line 2)"),
                    HasSubstr("the operator '**' (line 3)"), HasSubstr("the method 'sort' (line 3)"),
                    HasSubstr("the test 'prime' (line 3)"), HasSubstr("prompt.text")));
  EXPECT_THAT(error_of("{% include 'x' %}").text(), HasSubstr("line 1: the tag 'include' is not supported"));
  EXPECT_THAT(error_of("\n{{ strftime_now('%d') }}").text(),
              HasSubstr("line 2: the text depends on the day"));
  EXPECT_THAT(error_of("{{ now() }}").text(), HasSubstr("the function 'now' is not supported"));
  EXPECT_THAT(error_of("{{ 'a' | tojson(sort_keys=true) }}").text(),
              HasSubstr("tojson with 'sort_keys' is not supported"));
  EXPECT_THAT(error_of("{{ messages }}").text(),
              HasSubstr("a list is printed as it is; the filter tojson is supported"));
}

TEST(ChatTemplate, SaysWhereAMistakeIs) {
  for (const auto& [source, message] : {std::pair{"{% if x %}", "a block has no 'endif'"},
                                        {"a\n{{ 1 + }}", "line 2: expected an expression, got }}"},
                                        {"{{ (1 }}", "line 1: '}' closes nothing"},
                                        {"{{ 'a }}", "a string has no end"},
                                        {"{{ 1", "a tag has no end"},
                                        {"{# x", "a comment has no end"},
                                        {"{% endif %}", "'endif' stands outside of its block"},
                                        {"{% break %}", "'break' stands outside of its block"},
                                        {"{{ $ }}", "nothing in an expression begins with '$'"},
                                        {"{{ ) }}", "')' closes nothing"},
                                        {"{{ 99999999999999999999 }}", "an integer is too large"},
                                        {"{{ messages.x.y }}", "is undefined"},
                                        {"{{ messages[0].content.nothing() }}", "the method 'nothing'"},
                                        {"{% set messages.x = 1 %}", "only namespaces can be changed"},
                                        {"{{ 1 / 0 }}", "a division by 0"},
                                        {"{{ '\xC3\x9C' | lower }}", "beyond ASCII"}})
    EXPECT_THAT(error_of(source).text(), HasSubstr(message)) << source;
}

// Which day it is would decide the text, and with it every number.
TEST(ChatTemplate, KnowsTheDayThatItIsTold) {
  const std::string source =
                        "{{ strftime_now is defined }} {% if strftime_now is defined %}{{ strftime_now('%d "
                        "%B %Y, %a %b %j') }}{% endif %}",
                    messages = R"([{"role": "user", "content": "Hi"}])";
  EXPECT_EQ(render(source), "False ");
  EXPECT_EQ(render(source, messages, R"({"strftime_now": "2024-02-29"})"),
            "True 29 February 2024, Thu Feb 060");
  for (const char* day : {"2023-02-29", "2024-2", "2024-02-29x", "today"})
    EXPECT_THAT(error_of(source, messages, R"({"strftime_now": ")" + std::string(day) + "\"}").text(),
                HasSubstr("expected a date such as"));
}

// A file from somewhere must not take the machine with it.
TEST(ChatTemplate, IsBounded) {
  const auto many = [](const std::string& part, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += part;
    return out;
  };
  EXPECT_THAT(error_of("{{ " + many("(", 5000) + "1" + many(")", 5000) + " }}").text(),
              HasSubstr("nested more than"));
  EXPECT_THAT(error_of("{{ 1" + many(" + 1", 5000) + " }}").text(), HasSubstr("a chain of more than"));
  EXPECT_THAT(error_of("{{ x" + many(".x", 5000) + " }}").text(), HasSubstr("a chain of more than"));
  EXPECT_THAT(error_of(many("{% if 1 %}", 5000)).text(), HasSubstr("nested more than"));
  EXPECT_THAT(error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").text(),
              HasSubstr("nested too deep"));
  EXPECT_THAT(error_of("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}").text(),
              HasSubstr("does not end"));
  EXPECT_THAT(
      error_of("{% set n = namespace(x='aa') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}")
          .text(),
      HasSubstr("too long"));
  EXPECT_THAT(
      error_of("{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}")
          .text(),
      HasSubstr("deep"));
  EXPECT_THAT(error_of("{% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% "
                       "endfor %}{{ n.x | tojson }}")
                  .text(),
              HasSubstr("too long"));
  EXPECT_THAT(error_of("{% set n = namespace(x=1) %}{% set n.x = [n] %}").text(),
              HasSubstr("namespace inside"));
  EXPECT_THAT(error_of("x", many("[", 100000) + many("]", 100000)).text(),
              HasSubstr("message 1 has no role"));
  EXPECT_THAT(
      error_of("x", R"([{"role": "user", "content": )" + many("[", 500) + many("]", 500) + "}]").text(),
      HasSubstr("nested more than"));
}

TEST(ChatTemplate, MessagesAreCheckedBeforeATemplateSeesThem) {
  for (const auto& [messages, message] : {std::pair{"", "parse error"},
                                          {"[]", "at least one"},
                                          {"{}", "expected an array"},
                                          {"[1]", "message 1 has no role"},
                                          {R"([{"role": "user"}, {"role": 1}])", "message 2 has no role"},
                                          {R"([{"role": "assistant"}])", "no text to continue"}}) {
    const Error error = error_of("{{ messages[0].role }}", messages);
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), HasSubstr(message)) << messages;
  }
  EXPECT_THAT(error_of("x", R"([{"role": "assistant", "content": "a"}])").text(),
              HasSubstr("the template does not print it"));
  EXPECT_THAT(error_of("x", R"([{"role": "user"}])", "[1]").text(), HasSubstr("prompt.template_arguments"));
  EXPECT_EQ(
      render("{{ x }}{{ messages[0].content }}", R"([{"role": "user", "content": "Hi"}])", R"({"x": 1})"),
      "1Hi");
}

TEST(ChatTemplate, IsFoundBesideTheModel) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(find_chat_template(folder.path()).text, "");
  folder.write("tokenizer_config.json",
               R"({"bos_token": "<b>", "eos_token": {"content": "<e>"}, "chat_template": "config"})");
  const ChatTemplateSource source = find_chat_template(folder.path());
  EXPECT_EQ(source.text, "config");
  EXPECT_EQ(source.bos_token + source.eos_token, "<b><e>");
  EXPECT_THAT(source.where, HasSubstr("tokenizer_config.json"));
  folder.write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(find_chat_template(folder.path()).text, "d");
  folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "tools", "template": "t"}]})");
  EXPECT_THAT(test::error_of([&] { (void)find_chat_template(folder.path()); }).text(),
              HasSubstr("there are tools"));
  folder.write("tokenizer_config.json", R"({"chat_template": "config"})");
  folder.write("chat_template.jinja", "file");
  EXPECT_EQ(find_chat_template(folder.path()).text, "file");
}

// The template in the file of SmolLM2-135M-Instruct, where the cache has it; the text is transformers'.
TEST(ChatTemplate, OfSmolLm2) {
  const char* const cache = std::getenv("TWISTOR_CACHE");
  const std::filesystem::path model =
      std::filesystem::path(cache != nullptr ? cache : std::string(std::getenv("HOME")) + "/.cache/twistor") /
      "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "launch/get_model.sh smollm2 fetches it";
  EXPECT_EQ(
      ChatTemplate(find_chat_template(model)).render(R"([{"role": "user", "content": "Who are you?"}])"),
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
      "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n");
}

}  // namespace
}  // namespace twistor::text
