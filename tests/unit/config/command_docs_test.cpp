// SPDX-License-Identifier: Apache-2.0
// Completion in a real bash, and the manual page as roff.
#include "twistor/config/command_docs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "support/temporary_folder.hpp"
#include "twistor/config/make_key.hpp"

namespace twistor::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Settings {
  bool is_loud = false;
  std::int64_t count = 3;
  std::string kind = "big";
  void visit_keys(const Visitor& visit) {
    visit(key("loud", "make a noise"), &is_loud);
    visit(key("count", "how many", {1, 9}), &count);
    visit(choice("kind", "what it is - or 'not'", {"big", "bold", "small"}), &kind);
  }
};

ProgramDocs docs_of_test() {
  static Settings settings;
  Fields fields;
  fields.add("run", settings);
  const std::vector<OptionGroup> groups{{"Options", {fields[0]}, true}, {"[run]", {fields[1], fields[2]}}};
  const std::vector<OptionGroup> all{{"[run]", {fields[0], fields[1], fields[2]}}};
  ProgramDocs docs{"prog", "prog 1.0", "does it", ".SH END\n"};
  docs.commands = {command_docs("paint", "FILE", "paint a picture", groups),
                   command_docs("print", "FILE", "print it", {})};
  docs.keys = command_docs("", "", "", all).keys;
  return docs;
}

/// What bash offers after those words, in the order in which it does. Words are split as bash does, at '='
/// too.
std::string offered(const std::string& words) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "completion") << bash_completion(docs_of_test());
  std::ofstream(folder.path() / "picture.png");
  std::ofstream(folder.path() / "try")
      << "cd " << folder.path().string() << " && . ./completion && COMP_WORDS=(" << words
      << ") && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _prog && echo \"${COMPREPLY[*]}\"\n";
  std::string out;
  FILE* const pipe = ::popen(("bash " + (folder.path() / "try").string() + " 2>&1").c_str(), "r");
  std::array<char, 256> line{};
  while (std::fgets(line.data(), line.size(), pipe) != nullptr) out += line.data();
  ::pclose(pipe);
  return out;
}

TEST(BashCompletion, OffersCommandsOptionsKeysAndValues) {
  EXPECT_EQ(offered("prog p"), "paint print\n");
  EXPECT_EQ(offered("prog --v"), "--version\n");
  EXPECT_EQ(offered("prog paint --run.k"), "--run.kind=\n");
  EXPECT_EQ(offered("prog paint --"), "--run.loud --run.count= --run.kind= --help\n");
  EXPECT_EQ(offered("prog print --"), "--help\n") << "the other command's are not its own";
  EXPECT_EQ(offered("prog paint --run.kind = b"), "big bold\n");
  EXPECT_EQ(offered("prog paint --run.kind ="), "big bold small\n");
  EXPECT_EQ(offered("prog paint --run.kind s"), "small\n");
  EXPECT_EQ(offered("prog paint pic"), "picture.png\n");
  EXPECT_EQ(offered("prog paint --run.count = pic"), "picture.png\n") << "anything may be a file";
}

TEST(ManPage, HasEveryCommandAndKey) {
  const std::string page = man_page(docs_of_test());
  EXPECT_THAT(page, HasSubstr(".TH PROG 1 \"\" \"prog 1.0\""));
  EXPECT_THAT(page,
              HasSubstr(".SS paint FILE\npaint a picture.\n.TP\n\\fB\\-\\-run.loud\\fR\nmake a noise.\n"));
  EXPECT_THAT(page, HasSubstr(".PP\nKeys: run.\n"));
  EXPECT_THAT(page, HasSubstr(".SS [run]\n"));
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-run.count\\fR=\\fIVALUE\\fR\nhow many [3].\n"));
  EXPECT_THAT(page, HasSubstr("what it is \\- or 'not': big, bold, small ["));
  EXPECT_THAT(page, Not(HasSubstr("\n'"))) << "a line that begins so would be a request";
  EXPECT_TRUE(page.ends_with(".SH END\n"));
}

}  // namespace
}  // namespace twistor::config
