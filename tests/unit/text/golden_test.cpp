// Tokenizers against the ids of independent implementations.
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/temporary_folder.hpp"
#include "support/time_limit.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int64_t>;

const fs::path golden = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden/tokenizers";
const fs::path shared = fs::path(TWISTOR_SOURCE_DIR) / "../shared/tokenizer-goldens";

fs::path smollm2() {
  const char* cache = std::getenv("TWISTOR_CACHE");
  const char* home = std::getenv("HOME");
  const fs::path folder =
      cache != nullptr ? fs::path(cache) : fs::path(home != nullptr ? home : "/") / ".cache/twistor";
  return folder / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
}

// Cases [text, ids, decoded or null] made by tests/golden/make_tokenizer_goldens.py.
class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, EncodesAsTheReferenceDoes) {
  const auto tokenizer = load_tokenizer(golden / GetParam());
  ASSERT_NE(tokenizer, nullptr);
  const auto cases = nlohmann::json::parse(test::read_file(golden / GetParam() / "cases.json"));
  for (const auto& item : cases) {
    const auto text = item[0].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), item[1].get<Ids>()) << "text " << item[0];
  }
  EXPECT_GE(cases.size(), 8u);
}

TEST_P(Golden, DecodesAsTheReferenceDoes) {
  const auto tokenizer = load_tokenizer(golden / GetParam());
  const auto cases = nlohmann::json::parse(test::read_file(golden / GetParam() / "cases.json"));
  for (const auto& item : cases) {
    const auto text = item[0].get<std::string>();
    const std::string decoded = tokenizer->decode(item[1].get<Ids>());
    if (!item[2].is_null()) {
      EXPECT_EQ(decoded, item[2].get<std::string>()) << "text " << item[0];
    } else if (GetParam() == "gpt2") {
      EXPECT_EQ(decoded, text) << "every byte has a symbol there, so nothing is ever lost";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, Golden,
                         testing::Values("gpt2", "smollm", "quirks", "words", "white_space"));

TEST(GoldenFiles, VocabAndMergesGiveTheSameTokenizer) {
  const test::TemporaryFolder folder;
  fs::copy(golden / "gpt2/vocab.json", folder.path());
  fs::copy(golden / "gpt2/merges.txt", folder.path());
  const auto tokenizer = load_tokenizer(folder.path());
  ASSERT_NE(tokenizer, nullptr);
  const auto cases = nlohmann::json::parse(test::read_file(golden / "gpt2/cases.json"));
  for (const auto& item : cases) EXPECT_EQ(tokenizer->encode(item[0].get<std::string>()), item[1].get<Ids>());
  EXPECT_EQ(tokenizer->eos_id(), 0);
}

// NAME.inp holds texts with a separator line between them, NAME.out one line of ids for each.
void for_each_shared(const fs::path& base, const std::function<void(const std::string&, const Ids&)>& check) {
  const std::string texts = test::read_file(base.string() + ".inp");
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::istringstream lines(test::read_file(base.string() + ".out"));
  std::size_t at = 0;
  int n_cases = 0;
  for (std::string line; std::getline(lines, line); ++n_cases) {
    const std::size_t end = std::min(texts.find(separator, at), texts.size());
    std::istringstream numbers(line);
    check(texts.substr(at, end - at), {std::istream_iterator<std::int64_t>(numbers), {}});
    at = std::min(end + separator.size(), texts.size());
  }
  EXPECT_EQ(n_cases, 46);
}

void replay_shared(const fs::path& base, const Tokenizer& tokenizer) {
  for_each_shared(base, [&](const std::string& text, const Ids& expected) {
    EXPECT_EQ(tokenizer.encode(text), expected) << text;
    EXPECT_EQ(tokenizer.decode(expected), text);
  });
}

TEST(SharedGoldens, Gpt2) {
  if (!fs::exists(shared / "gpt-2.gguf")) GTEST_SKIP() << "no shared goldens beside this checkout";
  const auto tokenizer = load_tokenizer(shared / "gpt-2.gguf");
  replay_shared(shared / "gpt-2.gguf", *tokenizer);
  EXPECT_EQ(tokenizer->vocab_size(), 50257);
  EXPECT_EQ(tokenizer->eos_id(), 50256);
  EXPECT_EQ(tokenizer->encode("a<|endoftext|>"), (Ids{64, 50256}));
}

TEST(SharedGoldens, Gpt2FromVocabAndMerges) {
  if (!fs::exists(shared / "gpt-2.vocab.json")) GTEST_SKIP() << "no shared goldens beside this checkout";
  const test::TemporaryFolder folder;
  fs::copy(shared / "gpt-2.vocab.json", folder.path() / "vocab.json");
  fs::copy(shared / "gpt-2.merges.txt", folder.path() / "merges.txt");
  replay_shared(shared / "gpt-2.gguf", *load_tokenizer(folder.path()));
}

TEST(SharedGoldens, Starcoder) {
  if (!fs::exists(shared / "starcoder.gguf")) GTEST_SKIP() << "no shared goldens beside this checkout";
  replay_shared(shared / "starcoder.gguf", *load_tokenizer(shared / "starcoder.gguf"));
}

TEST(SharedGoldens, Bert) {
  if (!fs::exists(shared / "bert-bge.gguf")) GTEST_SKIP() << "no shared goldens beside this checkout";
  const auto tokenizer = load_tokenizer(shared / "bert-bge.gguf");
  for_each_shared(shared / "bert-bge.gguf", [&](const std::string& text, const Ids& expected) {
    EXPECT_EQ(tokenizer->encode(text), expected) << text;
  });
  EXPECT_EQ(tokenizer->encode_with_template("Hello world", 512).ids, (Ids{101, 7592, 2088, 102}));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("Unbelievable!")), "unbelievable!");
}

TEST(SmolLM2, KnownIds) {
  if (!fs::exists(smollm2())) GTEST_SKIP() << "SmolLM2 is not in the cache (launch/get_model.sh smollm2)";
  const auto tokenizer = load_tokenizer(smollm2());
  EXPECT_EQ(tokenizer->encode("The capital of France is"), (Ids{504, 3575, 282, 4649, 314}));
  EXPECT_EQ(tokenizer->vocab_size(), 49152);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  // 21 byte symbols are missing; such bytes are left out, the rest stays.
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\x04z")), "az");
}

// Models that see the whole text as one piece, and byte-level ones. A quadratic merge needs 1e10 steps here;
// O(n log n) takes about 0.02 s.
class LongPieces : public testing::TestWithParam<std::string> {};

TEST_P(LongPieces, TakeLinearithmicTime) {
  const auto document =
      nlohmann::json::parse(test::read_file(golden.parent_path() / "text_parity" / (GetParam() + ".json")));
  const auto tokenizer = parse_tokenizer_json(document["tokenizer"].dump(), GetParam());
  for (const std::string letter : {"t", "1", " ", "\u4e2d", "\xff"}) {
    std::string text;
    while (text.size() < 100'000) text += letter;
    const Stopwatch watch;
    const Ids ids = tokenizer->encode(text);
    const double seconds = watch.seconds();
    EXPECT_TRUE(!ids.empty() || letter == " ") << format::quote(letter);  // some kinds remove white space
    EXPECT_LT(seconds, test::time_limit(1.0)) << format::quote(letter);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LongPieces,
                         testing::Values("bpe_gpt2", "bpe_llama3", "bpe_llama2", "bpe_mistral", "bpe_suffix",
                                         "bpe_prefix", "unigram", "unigram_bytes", "unigram_whole"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace twistor::text
