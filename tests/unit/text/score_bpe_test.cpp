// Sentencepiece's BPE out of GGUF files: against sentencepiece itself, against a real model's known ids, bad
// files.
#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "support/gguf_bytes.hpp"
#include "support/temporary_folder.hpp"
#include "support/time_limit.hpp"
#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::GgufBytes;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Ids = std::vector<std::int64_t>;

const fs::path golden = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden";

struct Files {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t> types;
};

GgufBytes gguf_of(const Files& files) {
  GgufBytes out;
  out.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", files.tokens);
  out.array_head("tokenizer.ggml.scores", 6, files.scores.size());
  for (const float score : files.scores) GgufBytes::put(out.header_values, score);
  return out.i32s("tokenizer.ggml.token_type", files.types);
}

std::unique_ptr<Tokenizer> read(const GgufBytes& gguf) {
  const std::string bytes = gguf.build();
  return tokenizer_of_gguf(format::GgufFile::parse(test::as_bytes(bytes), "v.gguf"));
}

constexpr std::string_view mark = "\u2581";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

class Sentencepiece : public testing::TestWithParam<std::string> {};

TEST_P(Sentencepiece, EveryStringHasItsIds) {
  const json document = json::parse(test::read_file(golden / "sentencepiece" / (GetParam() + ".json")));
  const auto strings =
      json::parse(test::read_file(golden / "text_parity/strings.json")).get<std::vector<std::string>>();
  GgufBytes gguf = gguf_of({document["tokens"], document["scores"], document["types"]});
  gguf.value<std::uint8_t>("tokenizer.ggml.add_space_prefix", 7, document["add_space_prefix"].get<bool>());
  const auto tokenizer = read(gguf);
  const auto digests = document["digests"].get<std::string>();
  ASSERT_EQ(digests.size(), 6 * strings.size());
  std::size_t n_compared = 0;
  int n_different = 0;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    const std::string expected = digests.substr(6 * i, 6);
    if (expected == "------") continue;
    ++n_compared;
    const Ids ids = tokenizer->encode(strings[i]);
    std::string text;
    for (const std::int64_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
    if (sha256_hex(text).substr(0, 6) != expected && ++n_different <= 8)
      ADD_FAILURE() << "string " << i << " " << json(strings[i]).dump(-1, ' ', true) << ": ours "
                    << testing::PrintToString(ids);
    EXPECT_EQ(tokenizer->decode(ids), replaced(strings[i], mark, " "))
        << "a mark in the text becomes a space";
  }
  EXPECT_EQ(n_different, 0) << "of " << n_compared;
  EXPECT_GE(n_compared, 2000u);
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Sentencepiece, testing::Values("bpe", "bpe_no_prefix"),
                         [](const auto& test) { return test.param; });

// tok512.bin: the longest token's size, then score, size and bytes of each token; a space is a space there.
TEST(ScoreBpe, RealVocabularyOf512Tokens) {
  const fs::path file = fs::path(TWISTOR_SOURCE_DIR) / "../shared/models/stories260K/tok512.bin";
  if (!fs::exists(file)) GTEST_SKIP() << "no shared models beside this checkout";
  const std::string bytes = test::read_file(file);
  Files files;
  for (std::size_t at = 4; at < bytes.size();) {
    float score = 0;
    std::int32_t size = 0;
    std::memcpy(&score, bytes.data() + at, 4);
    std::memcpy(&size, bytes.data() + at + 4, 4);
    const std::string token = bytes.substr(at + 8, static_cast<std::size_t>(size));
    at += 8 + static_cast<std::size_t>(size);
    const std::size_t id = files.tokens.size();
    files.types.push_back(id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
    files.tokens.push_back(replaced(token, " ", mark));
    files.scores.push_back(score);
  }
  ASSERT_EQ(files.tokens.size(), 512u);
  const auto tokenizer = read(gguf_of(files).u32("tokenizer.ggml.bos_token_id", 1));
  const Ids ids{403, 407, 261, 378, 432, 383, 286, 261};
  EXPECT_EQ(tokenizer->encode("Once upon a time, there was a"), ids);
  EXPECT_EQ(tokenizer->decode(ids), "Once upon a time, there was a");
  EXPECT_EQ(tokenizer->encode_with_template("a", 8).ids, (Ids{1, 261}));
  for (const std::string text : {"\u4e2d\U0001f642 x", "\xff\xfe", "line\nline\t", "  two"})
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << "bytes carry what is no token";
}

Files small() {
  return {{"<unk>", "<s>", "</s>", "\u2581", "a", "b", "ab", "\u2581ab", "<tool>"},
          {0, 0, 0, -4, -5, -6, -1, -2, 0},
          {2, 3, 3, 1, 1, 1, 1, 1, 4}};
}

TEST(ScoreBpe, TypesOfTokens) {
  const auto tokenizer = read(gguf_of(small()).u32("tokenizer.ggml.unknown_token_id", 0));
  EXPECT_EQ(tokenizer->encode("ab ab"), (Ids{7, 7}));
  EXPECT_EQ(tokenizer->encode("a<s>b"), (Ids{3, 4, 1, 3, 5})) << "a control token begins the text anew";
  EXPECT_EQ(tokenizer->encode("<tool>ab"), (Ids{8, 7}));
  EXPECT_EQ(tokenizer->encode("z"), (Ids{3, 0})) << "neither token nor bytes";
  EXPECT_EQ(tokenizer->encode(""), Ids{});
  EXPECT_THAT([] { (void)read(gguf_of(small()))->encode("z"); },
              ThrowsMessage<Error>(HasSubstr("neither its bytes nor an unknown token")));
}

TEST(ScoreBpe, MalformedVocabulariesGetOneClearError) {
  const auto refuse = [](auto change, const std::string& message) {
    Files files = small();
    change(files);
    EXPECT_THAT([&] { (void)read(gguf_of(files)); },
                ThrowsMessage<Error>(AllOf(HasSubstr("v.gguf"), HasSubstr(message))));
  };
  refuse([](Files& f) { f.scores.pop_back(); }, "expected a score for each of 9 tokens, got 8");
  refuse([](Files& f) { f.scores[4] = std::numeric_limits<float>::quiet_NaN(); },
         "token 4: expected a finite score, got nan");
  refuse([](Files& f) { f.scores[4] = -std::numeric_limits<float>::infinity(); }, "expected a finite score");
  refuse([](Files& f) { f.types.push_back(1); }, "expected one type for each of 9 tokens, got 10");
  refuse([](Files& f) { f.tokens[5] = "a"; }, "tokenizer.ggml.tokens: 'a' is there twice");
  refuse([](Files& f) { f.tokens[5] = std::string(2000, 'x'); },
         "token 5: expected at most 1024 bytes, got 2000");
  EXPECT_THAT(
      [] { (void)read(gguf_of(small()).u32("tokenizer.ggml.unknown_token_id", 9)); },
      ThrowsMessage<Error>(HasSubstr("tokenizer.ggml.unknown_token_id: expected an id of the 9 tokens")));
}

// Tokens that are no UTF-8 take part in no merge, and hurt nobody.
TEST(ScoreBpe, TokensThatAreNoUtf8) {
  Files files = small();
  files.tokens[5] = "a\xff";
  files.tokens[6] = "\xe2\x96";
  const auto tokenizer = read(gguf_of(files).u32("tokenizer.ggml.unknown_token_id", 0));
  EXPECT_EQ(tokenizer->encode("a\xff"), (Ids{3, 4, 0}));
}

// The whole text is one piece: a quadratic merge needs 1e10 steps here.
TEST(ScoreBpe, EqualLettersMergeInLinearithmicTime) {
  Files files = small();
  for (std::size_t size = 2; size <= 64; size *= 2) {
    files.tokens.push_back(std::string(size, 'a'));
    files.scores.push_back(-static_cast<float>(size));
    files.types.push_back(1);
  }
  const auto tokenizer = read(gguf_of(files));
  const std::string text(100'000, 'a');
  const Stopwatch watch;
  const Ids ids = tokenizer->encode(text);
  const double seconds = watch.seconds();
  EXPECT_EQ(tokenizer->decode(ids), text);
  EXPECT_LT(seconds, test::time_limit(1.0));
}

}  // namespace
}  // namespace twistor::text
