// SPDX-License-Identifier: Apache-2.0
// Bare vocabularies (vocab.txt, vocab.json + merges.txt, GGUF's bert) against the tokenizer.json that they
// belong to, and what is wrong with bad ones.
#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

#include "support/gguf_bytes.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::TemporaryFolder;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Ids = std::vector<std::int64_t>;

const fs::path golden = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden/text_parity";

json golden_tokenizer(const std::string& name) {
  return json::parse(test::read_file(golden / (name + ".json")))["tokenizer"];
}

// All strings of the parity tests without a character that the vocabulary's spelling cannot say.
std::vector<std::string> strings(std::string_view without) {
  auto list = json::parse(test::read_file(golden / "strings.json")).get<std::vector<std::string>>();
  if (!without.empty())
    std::erase_if(list, [&](const std::string& text) { return text.find(without) != std::string::npos; });
  EXPECT_GT(list.size(), 2000u);
  return list;
}

std::vector<std::string> tokens_by_id(const json& vocab) {
  std::map<std::int64_t, std::string> sorted;
  for (const auto& [token, id] : vocab.items()) sorted[id.get<std::int64_t>()] = token;
  std::vector<std::string> out;
  for (const auto& [id, token] : sorted) out.push_back(token);
  return out;
}

void expect_equal(const Tokenizer& ours, const Tokenizer& expected, std::string_view without = {}) {
  for (const std::string& text : strings(without)) {
    const Encoding encoding = ours.encode_with_template(text, 1 << 20);
    EXPECT_EQ(encoding.ids, expected.encode_with_template(text, 1 << 20).ids)
        << json(text).dump(-1, ' ', true);
    EXPECT_EQ(ours.decode(encoding.ids), expected.decode(encoding.ids));
    if (!expected.has_pair_form()) continue;
    const Encoding pair = ours.encode_pair(text, "a", 40);
    EXPECT_EQ(pair.ids, expected.encode_pair(text, "a", 40).ids);
    EXPECT_EQ(pair.type_ids, expected.encode_pair(text, "a", 40).type_ids);
  }
}

std::string vocab_txt(const std::vector<std::string>& tokens, const std::string& line_end = "\n") {
  std::string out;
  for (const std::string& token : tokens) out += token + line_end;
  return out;
}

TEST(VocabTxt, EqualsTheTokenizerJsonOfTheSameVocabulary) {
  const json document = golden_tokenizer("bert_uncased");
  const auto expected = parse_tokenizer_json(document.dump(), "golden");
  const TemporaryFolder folder;
  for (const std::string line_end : {"\n", "\r\n"}) {
    folder.write("vocab.txt", vocab_txt(tokens_by_id(document["model"]["vocab"]), line_end));
    const auto tokenizer = load_tokenizer(folder.path());
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->vocab_size(), expected->vocab_size());
    expect_equal(*tokenizer, *expected);
  }
}

TEST(VocabTxt, OptionsComeFromTokenizerConfig) {
  json document = golden_tokenizer("bert_cased");
  document["decoder"]["cleanup"] = true;
  document["normalizer"] = json::parse(
      R"({"type": "BertNormalizer", "lowercase": false, "strip_accents": true, "handle_chinese_chars": false, "clean_text": true})");
  const auto expected = parse_tokenizer_json(document.dump(), "golden");
  const TemporaryFolder folder;
  folder.write("vocab.txt", vocab_txt(tokens_by_id(document["model"]["vocab"])));
  folder.write("tokenizer_config.json",
               R"({"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false,
    "tokenizer_class": "DistilBertTokenizerFast", "cls_token": {"content": "[CLS]"}, "model_max_length": 512})");
  expect_equal(*load_tokenizer(folder.path()), *expected);
}

TEST(VocabTxt, BadFilesGetOneClearError) {
  const std::string good = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n";
  EXPECT_EQ(parse_vocab_txt(good, "vocab.txt")->encode("ab ba"), (Ids{4, 5, 1}));
  const auto refuse = [](const std::string& text, const std::string& message) {
    EXPECT_THAT([&] { (void)parse_vocab_txt(text, "vocab.txt"); },
                ThrowsMessage<Error>(AllOf(HasSubstr("vocab.txt"), HasSubstr(message))));
  };
  refuse("", "the special token '[CLS]' is not in the vocabulary of 0 tokens");
  refuse("[CLS]\na\n", "the special token '[SEP]' is not in the vocabulary of 2 tokens");
  refuse(good + "a\n", "line 7: the token 'a' is also on line 5");
  const TemporaryFolder folder;
  folder.write("vocab.txt", good);
  const auto refuse_config = [&](const std::string& config, const std::string& message) {
    folder.write("tokenizer_config.json", config);
    EXPECT_THAT([&] { (void)load_tokenizer(folder.path()); },
                ThrowsMessage<Error>(AllOf(HasSubstr("tokenizer_config.json"), HasSubstr(message))));
  };
  refuse_config(R"({"tokenizer_class": "BertJapaneseTokenizer"})",
                "'BertJapaneseTokenizer' is not supported");
  refuse_config(R"({"do_basic_tokenize": false})", "do_basic_tokenize: WordPiece without");
  refuse_config(R"({"do_lower_case": 1})", "do_lower_case: expected true or false");
}

TEST(VocabMerges, RobertaHasATemplateAndItsMaskTakesSpaces) {
  const json document = golden_tokenizer("roberta");
  const auto expected = parse_tokenizer_json(document.dump(), "golden");
  const TemporaryFolder folder;
  folder.write("vocab.json", document["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const json& merge : document["model"]["merges"])
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  folder.write("merges.txt", merges);
  folder.write("tokenizer_config.json", R"({"add_prefix_space": true})");
  expect_equal(*load_tokenizer(folder.path()), *expected);
}

test::GgufBytes bert_gguf(const std::vector<std::string>& tokens) {
  std::vector<std::string> spelled;
  std::vector<std::int32_t> types;
  for (const std::string& token : tokens) {
    const bool is_special = token.starts_with('[') && token.ends_with(']') && token.size() > 2;
    spelled.push_back(is_special ? token : token.starts_with("##") ? token.substr(2) : "\u2581" + token);
    types.push_back(is_special ? 3 : 1);
  }
  test::GgufBytes out;
  out.string("tokenizer.ggml.model", "bert").strings("tokenizer.ggml.tokens", spelled);
  out.i32s("tokenizer.ggml.token_type", types);
  return out;
}

TEST(GgufBert, EqualsTheTokenizerJsonOfTheSameVocabulary) {
  const json document = golden_tokenizer("bert_uncased");
  const TemporaryFolder folder;
  const auto path = folder.write("m.gguf", bert_gguf(tokens_by_id(document["model"]["vocab"])).build());
  // A continuation that begins with U+2581 looks like the beginning of a word there.
  expect_equal(*load_tokenizer(path), *parse_tokenizer_json(document.dump(), "golden"), "\u2581");
}

TEST(GgufBert, BadKeysGetOneClearError) {
  const TemporaryFolder folder;
  const auto refuse = [&](test::GgufBytes gguf, const std::string& message) {
    const auto path = folder.write("m.gguf", gguf.build());
    EXPECT_THAT([&] { (void)load_tokenizer(path); }, ThrowsMessage<Error>(HasSubstr(message)));
  };
  refuse(bert_gguf({"[UNK]", "a"}), "the special token '[CLS]' is not in the vocabulary of 2 tokens");
  auto beyond = bert_gguf({"[UNK]", "[CLS]", "[SEP]", "a"});
  beyond.u32("tokenizer.ggml.cls_token_id", 4);
  refuse(beyond, "tokenizer.ggml.cls_token_id: expected an id of the 4 tokens, got 4");
}

}  // namespace
}  // namespace twistor::text
