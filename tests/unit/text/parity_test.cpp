// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding of hard strings, digest by digest against the reference library: every file in
// tests/golden/text_parity that tests/golden/text_parity.py describes.
#include <gmock/gmock.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "support/temporary_folder.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/text/tokenizer_formats.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<std::int64_t>;

const fs::path golden = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden/text_parity";

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden))
    if (entry.path().extension() == ".json" && entry.path().stem() != "strings")
      out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

const std::vector<std::string>& strings() {
  static const auto list =
      json::parse(test::read_file(golden / "strings.json")).get<std::vector<std::string>>();
  return list;
}

// Six digits, as digest() of text_parity.py.
std::string digest(const std::string& text) {
  return sha256_hex(text).substr(0, 6);
}

std::string digest(const Ids& ids) {
  std::string text;
  for (const std::int64_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return digest(text);
}

// How many bytes of an ill-formed sequence one U+FFFD stands for: the longest beginning of a well-formed one,
// at least 1 (The Unicode Standard, 3.9, "maximal subparts").
std::size_t maximal_subpart(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0xc2 || lead > 0xf4) return 1;
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  std::size_t n = 1;
  for (; n < size && n < text.size(); ++n) {
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (n == 1 && lead == 0xe0) low = 0xa0;
    if (n == 1 && lead == 0xed) high = 0x9f;
    if (n == 1 && lead == 0xf0) low = 0x90;
    if (n == 1 && lead == 0xf4) high = 0x8f;
    if (byte(n) < low || byte(n) > high) break;
  }
  return n;
}

// What the reference makes of bytes that are no UTF-8; ours keeps them, so that halves of characters can be
// joined.
std::string with_replacement_characters(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint point = next_code_point(bytes, at);
    if (point.is_valid)
      out += bytes.substr(at, point.size);
    else
      out += "\xef\xbf\xbd";
    at += point.is_valid ? point.size : maximal_subpart(bytes.substr(at));
  }
  return out;
}

fs::path cached_models() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  return (cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/twistor") /
         "models";
}

// nullptr where the file is not kept here and its model (a folder of that name) is not in the cache.
std::unique_ptr<Tokenizer> tokenizer_of(const json& document, const std::string& name) {
  if (!document["tokenizer"].is_null())
    return parse_tokenizer_json(document["tokenizer"].dump(), name + ".json");
  const fs::path folder = cached_models() / name;
  return fs::exists(folder) ? load_tokenizer(folder) : nullptr;
}

class Parity : public testing::TestWithParam<std::string> {};

TEST_P(Parity, EveryStringHasTheReferencesIdsAndText) {
  const json document = json::parse(test::read_file(golden / (GetParam() + ".json")));
  const auto tokenizer = tokenizer_of(document, GetParam());
  if (!tokenizer) GTEST_SKIP() << "the model " << GetParam() << " is not in the cache";
  const auto digests = document["digests"].get<std::string>();
  ASSERT_GE(strings().size(), 2000u);
  ASSERT_EQ(digests.size(), 12 * strings().size());
  int n_different = 0;
  for (std::size_t i = 0; i < strings().size(); ++i) {
    const Ids ids = tokenizer->encode(strings()[i]);
    const std::string decoded = with_replacement_characters(tokenizer->decode(ids));
    const bool equal_ids = digest(ids) == digests.substr(12 * i, 6);
    const bool equal_text = digest(decoded) == digests.substr(12 * i + 6, 6);
    if (equal_ids && equal_text) continue;
    if (++n_different <= 8)
      ADD_FAILURE() << "string " << i << " " << json(strings()[i]).dump(-1, ' ', true)
                    << (equal_ids ? "" : "; ids differ") << ": ours " << testing::PrintToString(ids)
                    << (equal_text ? "" : "; text differs") << ": ours " << json(decoded).dump(-1, ' ', true);
  }
  EXPECT_EQ(n_different, 0) << "of " << strings().size();
}

TEST_P(Parity, SamplesWithTheTemplate) {
  const json document = json::parse(test::read_file(golden / (GetParam() + ".json")));
  const auto tokenizer = tokenizer_of(document, GetParam());
  if (!tokenizer) GTEST_SKIP() << "the model " << GetParam() << " is not in the cache";
  EXPECT_GE(document["samples"].size(), 30u);
  for (const auto& [index, sample] : document["samples"].items()) {
    const std::string& text = strings().at(std::stoul(index));
    EXPECT_EQ(tokenizer->encode(text), sample[0].get<Ids>()) << text;
    const Encoding full = tokenizer->encode_with_template(text, 1 << 20);
    EXPECT_EQ(full.ids, sample[1].get<Ids>()) << text;
    EXPECT_EQ(full.type_ids, sample[2].get<Ids>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, Parity, testing::ValuesIn(names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace twistor::text
