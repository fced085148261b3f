// SPDX-License-Identifier: Apache-2.0
// Pre-tokenizers against the reference library on more than 2,000 hard strings, by digests
// (tests/golden/make_pre_tokenizer_goldens.py).
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/text/pre_tokenizer.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path folder = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden/pre_tokenizers";

json read_golden(const std::string& name) {
  return json::parse(test::read_file(folder / name));
}

const std::vector<std::string>& strings() {
  static const auto all = read_golden("strings.json").get<std::vector<std::string>>();
  return all;
}

// 8 digits for each 32 strings in a row of the first n; items_of(text) is all that a string gives, each item
// followed by \x1f.
template <class ItemsOf>
std::string digests(std::size_t n, ItemsOf items_of) {
  std::string out;
  std::string block;
  for (std::size_t i = 0; i < n; ++i) {
    block += items_of(strings()[i]) + "\x1e";
    if (i % 32 == 31 || i + 1 == n) {
      out += sha256_hex(block).substr(0, 8);
      block.clear();
    }
  }
  return out;
}

// The blocks of strings whose digests differ.
std::vector<std::size_t> differences(const std::string& ours, const std::string& theirs) {
  std::vector<std::size_t> blocks;
  if (ours.size() != theirs.size()) return {ours.size(), theirs.size()};
  for (std::size_t i = 0; i < ours.size(); i += 8)
    if (ours.compare(i, 8, theirs, i, 8) != 0) blocks.push_back(i / 8);
  return blocks;
}

TEST(PreTokenizerParity, CutsAsTheReferenceDoes) {
  EXPECT_GE(strings().size(), 2000u);
  const json goldens = read_golden("digests.json");
  EXPECT_GE(goldens.size(), 150u);
  for (const json& golden : goldens) {
    const json& config = golden["pre_tokenizer"];
    const PreTokenizer pre = PreTokenizer::from_json(format::JsonView(config, "reading a golden"));
    const std::string ours = digests(golden["n_strings"], [&](const std::string& text) {
      Pieces pieces;
      pre.split(text, true, pieces);
      std::string items;
      for (const std::string_view piece : pieces.list) (items += piece) += "\x1f";
      return items;
    });
    EXPECT_EQ(differences(ours, golden["digests"].get<std::string>()), std::vector<std::size_t>{}) << config;
  }
}

}  // namespace
}  // namespace twistor::text
