// Normalizers for every code point against the reference, and what they do with long and broken texts.
#include "twistor/text/normalizer.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "support/time_limit.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;

Normalizer make(const std::string& text) {
  const json document = json::parse(text);
  return read_normalizer(format::JsonView(document, "reading test.json"));
}

std::string normalized(const std::string& kind, std::string text) {
  make(kind)(text);
  return text;
}

std::string bert(const std::string& on) {
  json options = {{"type", "BertNormalizer"},
                  {"clean_text", false},
                  {"handle_chinese_chars", false},
                  {"strip_accents", false},
                  {"lowercase", false}};
  if (!on.empty()) options[on] = true;
  return options.dump();
}

struct Expected {
  const char* name;
  std::string kind;
  const char* sha256;
};

// What tests/golden/print_unicode_digests.py has from the reference.
const std::vector<Expected>& expected_digests() {
  static const std::vector<Expected> list = {
      {"NFC", R"({"type": "NFC"})", "9ca0e1d0d7e92f9c638f64452bd154c0afed00288068032a71a4dea549db5571"},
      {"NFD", R"({"type": "NFD"})", "8a77a2b46cace03452162f13995cebca41100343553aa0e21bf428df991305f6"},
      {"NFKC", R"({"type": "NFKC"})", "816cf8df125fe413dce5981239e3fa44e383064e9b3f3777d6eeeca8ad25dfee"},
      {"NFKD", R"({"type": "NFKD"})", "8e3a7fee8e5fbb2cbd5c165645e2f76cc15faa196427d5114572ee4311a25024"},
      {"Lowercase", R"({"type": "Lowercase"})",
       "a28c00538672d40c0c9730fb96ff35de009f3ce7b8d2b4f542edcff7f76a9036"},
      {"StripAccents", R"({"type": "StripAccents"})",
       "2c24cf709cdeb7913b9a05d41fd632cbe54c98321fc3d118ae4613d32b3c729d"},
      {"Nmt", R"({"type": "Nmt"})", "3fbd05da8fd1ce8e12f8b97deaf876913c579b8ecddfe1355747b04d099711d0"},
      {"clean_text", bert("clean_text"), "8eb8a6965cd626b3bfd808c4584300d9377e8a422f3fd3ff350cf48c1e7c1c97"},
      {"handle_chinese_chars", bert("handle_chinese_chars"),
       "c7eeaf7654e9fd0c3741cbaff13cfd06ec3f2c0037f1ab9fa178892718f0b533"},
      {"strip_accents", bert("strip_accents"),
       "757990dbc2831b324c9ad0706974ca9b8ff31518a463ff07389527c64b2fb2b3"},
      {"lowercase", bert("lowercase"), "a28c00538672d40c0c9730fb96ff35de009f3ce7b8d2b4f542edcff7f76a9036"},
      {"all", R"({"type": "BertNormalizer"})",
       "bbaa7d38e96912831f531c4b1982ee3619cc76c0a4073810577ff3b6cc1d7aa2"},
  };
  return list;
}

// Every code point between a letter and two marks of different classes, a line each, 256 lines at a time.
TEST(Normalizers, EqualTheReferencesForEveryCodePoint) {
  std::vector<std::string> chunks;
  int n = 0;
  for (char32_t value = 0; value < 0x110000; ++value) {
    if (value >= 0xd800 && value <= 0xdfff) continue;
    if (n++ % 256 == 0) chunks.emplace_back();
    chunks.back() += 'a';
    append_utf8(chunks.back(), value);
    chunks.back() += "\u0345\u0316\n";
  }
  for (const Expected& expected : expected_digests()) {
    const Normalizer normalizer = make(expected.kind);
    std::string all;
    for (std::string chunk : chunks) {
      normalizer(chunk);
      all += chunk;
    }
    EXPECT_EQ(sha256_hex(all), expected.sha256) << expected.name;
  }
}

TEST(Normalizers, BytesThatAreNoUtf8) {
  const std::string broken = "A\xff\xc3\x80\xe2\x82";  // the second to third are U+00C0
  EXPECT_EQ(normalized(R"({"type": "NFD"})", broken),
            "A\xff"
            "A\u0300\xe2\x82");
  EXPECT_EQ(normalized(R"({"type": "NFC"})", "e\xff\u0301"), "e\xff\u0301")
      << "nothing composes across a bad byte";
  EXPECT_EQ(normalized(R"({"type": "Lowercase"})", broken), "a\xff\u00e0\xe2\x82");
  EXPECT_EQ(normalized(R"({"type": "BertNormalizer"})", broken), "aa") << "taken away, as U+FFFD would be";
  EXPECT_EQ(normalized(bert("lowercase"), broken), "a\xff\u00e0\xe2\x82");
}

// Any bytes through any kind: no crash, and valid text stays valid.
TEST(Normalizers, ArbitraryBytes) {
  std::mt19937 random(11);
  std::vector<Normalizer> normalizers;
  for (const Expected& expected : expected_digests()) normalizers.push_back(make(expected.kind));
  // A trie of one unit whose offsets point far away, and one that leads back to itself.
  normalizers.push_back(make(R"({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8="})"));
  normalizers.push_back(make(R"({"type": "Precompiled", "precompiled_charsmap": "BAAAAAABAAA="})"));
  normalizers.push_back(make(R"({"type": "Strip", "strip_left": true, "strip_right": true})"));
  normalizers.push_back(make(R"({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "})"));
  for (int repeat = 0; repeat < 300; ++repeat) {
    std::string bytes;
    std::string valid;
    for (auto n = random() % 40; n > 0; --n) {
      bytes += static_cast<char>(static_cast<unsigned char>(random() % 256));
      append_utf8(valid, static_cast<char32_t>(random() % 0xd800));
    }
    for (const Normalizer& normalizer : normalizers) {
      normalizer(bytes);
      std::string text = valid;
      normalizer(text);
      for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = next_code_point(text, at);
        EXPECT_TRUE(point.is_valid);
        at += point.size;
      }
    }
  }
}

// Marks of two classes in turn: sorting them by swapping neighbours would take 2.5e9 steps.
TEST(Normalizers, LongTextsTakeLinearTime) {
  std::string marks = "a";
  for (int i = 0; i < 50'000; ++i) marks += "\u0301\u0316";
  for (const Expected& expected : expected_digests())
    for (const std::string& text : {marks, std::string(100'000, ' '), std::string(100'000, '\xcc')}) {
      const Stopwatch watch;
      (void)normalized(expected.kind, text);
      const double seconds = watch.seconds();
      EXPECT_LT(seconds, test::time_limit(1.0)) << expected.name;
    }
}

// Each step doubles the text: 40 of them would take a terabyte.
TEST(Normalizers, ChainsCannotFillTheMemory) {
  const std::string step = R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})";
  std::string steps = step;
  for (int i = 1; i < 40; ++i) steps += "," + step;
  const std::string chain = R"({"type": "Sequence", "normalizers": [)" + steps + "]}";
  const std::string nested = R"({"type": "Sequence", "normalizers": [)" + chain + "," + chain + "]}";
  for (const std::string& kind : {chain, nested})
    EXPECT_THAT([&] { (void)normalized(kind, "a"); },
                ThrowsMessage<Error>(HasSubstr("expected at most 64 times the 1 bytes that came in")));
}

TEST(Normalizers, BadOnesGetOneClearError) {
  const auto refuse = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { (void)make(text); },
                ThrowsMessage<Error>(AllOf(HasSubstr("test.json"), HasSubstr(message))))
        << text;
  };
  refuse(R"({"type": "Upper"})", "the normalizer 'Upper' is not supported");
  refuse(R"({})", "expected a member 'type'");
  refuse(R"([])", "expected an object");
  refuse(R"({"type": "Sequence"})", "expected a member 'normalizers'");
  refuse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "X"}]})",
         "normalizers[1]: the normalizer 'X'");
  refuse(R"({"type": "Prepend"})", "expected a member 'prepend'");
  refuse(R"({"type": "Strip", "strip_left": 1})", "strip_left: expected true or false");
  refuse(R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})",
         "pattern: expected a string to replace");
  refuse(R"({"type": "Replace", "pattern": "x", "content": ""})", "pattern: expected an object");
  refuse(R"({"type": "Replace", "pattern": {"Glob": "x"}, "content": ""})", "expected a member 'Regex'");
  refuse(R"({"type": "Replace", "pattern": {"Regex": "("}, "content": ""})", "pattern.Regex: ");
  refuse(R"({"type": "Replace", "pattern": {"Regex": "a"}})", "expected a member 'content'");
  refuse(R"({"type": "Precompiled"})", "expected a member 'precompiled_charsmap'");
  refuse(R"({"type": "Precompiled", "precompiled_charsmap": "A*=="})",
         "precompiled_charsmap: expected base64");
  refuse(R"({"type": "Precompiled", "precompiled_charsmap": ""})", "got 0 bytes that announce 0");
  refuse(R"({"type": "Precompiled", "precompiled_charsmap": "CAAAAAEAAAA="})", "got 8 bytes that announce 8");
  refuse(R"({"type": "Precompiled", "precompiled_charsmap": "/////wEAAAA="})",
         "got 8 bytes that announce 4294967295");
  refuse(R"({"type": "BertNormalizer", "strip_accents": "no"})", "strip_accents: expected true or false");
}

}  // namespace
}  // namespace twistor::text
