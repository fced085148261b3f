// SPDX-License-Identifier: Apache-2.0
// A locale that writes numbers with a comma changes nothing that is read or written.
#include <gtest/gtest.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/temporary_folder.hpp"
#include "twistor/format/json.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/report/json_line.hpp"
#include "twistor/run/config.hpp"

namespace twistor::run {
namespace {

/// A decimal comma for as long as it lives, if the machine can have one.
class GermanNumbers {
 public:
  GermanNumbers() {
    const std::string make =
        "localedef -i de_DE -f UTF-8 " + (folder_ / "de_DE.UTF-8").string() + " >/dev/null 2>&1";
    if (std::system(make.c_str()) == 0) setenv("LOCPATH", folder_.path().c_str(), 1);
    (void)std::setlocale(LC_ALL, "de_DE.UTF-8");
    char text[16];
    std::snprintf(text, sizeof text, "%.1f", 1.5);
    is_there_ = std::string(text) == "1,5";
  }
  ~GermanNumbers() {
    (void)std::setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
  }
  GermanNumbers(const GermanNumbers&) = delete;
  GermanNumbers& operator=(const GermanNumbers&) = delete;
  [[nodiscard]] bool is_there() const { return is_there_; }

 private:
  test::TemporaryFolder folder_;
  bool is_there_ = false;
};

/// Numbers by all the ways that lead into the program and out of it, as text.
std::string everything(const test::TemporaryFolder& folder) {
  Config config =
      parse_config("model.path = m\nprompt.ids = 1\ntarget.beta = 1.25\ntrain.learning_rate = 2.5e-3\n");
  std::string out = to_text(config) + to_json(config);
  const nlohmann::json document = format::parse_json(R"({"a": 1.5, "b": -2.5e-7, "c": [0.1]})", "reading");
  const format::JsonView view(document, "reading");
  for (const double value : {view.at("a").number(), view.at("b").number(), view.at("c").item(0).number()})
    out += " " + report::json_number(value) + " " + report::plain_number(value);
  out += document.dump();
  potential::PotentialOptions options;
  options.potential = "lexicon";
  options.lexicon = folder.write("words.txt", "good\t1.9\t0.5\nbad\t-2.5\n").string();
  const std::vector<std::string> texts{"good bad good", "bad"};
  const auto lexicon = potential::make_text_scorer(options, {});
  for (const double value : lexicon->log_phi(texts)) out += " " + report::json_number(value);
  out += lexicon->description();
  potential::PotentialOptions tokens;
  tokens.potential = "tokens";
  tokens.table = folder.write("table.txt", "0 0.5\n1 -1.25\n").string();
  const std::vector<std::int64_t> s{0, 1, 1}, prompt{0};
  for (const double value : potential::make_potential(tokens, {})->log_phi({prompt, s, 3}))
    out += " " + report::json_number(value);
  return out;
}

TEST(Locale, ADecimalCommaChangesNothing) {
  const test::TemporaryFolder folder;
  const std::string expected = everything(folder);
  EXPECT_NE(expected.find("1.25"), std::string::npos);
  const GermanNumbers german;
  if (!german.is_there()) GTEST_SKIP() << "no locale with a decimal comma, and no localedef to make one";
  EXPECT_EQ(everything(folder), expected);
}

}  // namespace
}  // namespace twistor::run
