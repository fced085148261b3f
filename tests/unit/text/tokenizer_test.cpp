// SPDX-License-Identifier: Apache-2.0
// Tokenizers made in the test: what is accepted, how files are found, and which message a bad file gets.
#include "twistor/text/tokenizer.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "support/error_of.hpp"
#include "support/gguf_bytes.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"
#include "twistor/text/front.hpp"
#include "twistor/text/same_vocabulary.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Ids = std::vector<std::int64_t>;

json small_bpe() {
  return json::parse(R"({
    "added_tokens": [{"id": 7, "content": "<end>", "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ġab": 5}, "merges": ["a b", ["Ġ", "ab"]]}})");
}

json small_words() {
  return json::parse(R"({"pre_tokenizer": {"type": "WhitespaceSplit"},
    "model": {"type": "WordLevel", "vocab": {"the": 0, "fox": 1, "?": 2}, "unk_token": "?"}})");
}

std::unique_ptr<Tokenizer> parse(const json& document) {
  return parse_tokenizer_json(document.dump(), "test.json");
}

TEST(Tokenizer, SmallBpe) {
  const auto tokenizer = parse(small_bpe());
  EXPECT_EQ(tokenizer->encode("ab ab<end>ca"), (Ids{4, 5, 7, 2, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{4, 5, 7, 2, 0}), "ab ab<end>ca");
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_EQ(tokenizer->token_to_id("Ġab"), 5);
  EXPECT_EQ(tokenizer->token_to_id("<end>"), 7);
  EXPECT_EQ(tokenizer->token_to_id("zzz"), std::nullopt);
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer->encode(""), Ids{});
}

TEST(Tokenizer, FirstDifferenceOfVocabulariesIsNamed) {
  const auto bpe = parse(small_bpe());
  EXPECT_EQ(first_difference(*bpe, *parse(small_bpe())), "");
  json other = small_bpe();
  other["added_tokens"][0]["content"] = "<eos>";
  EXPECT_EQ(first_difference(*bpe, *parse(other)),
            "token 7 is '<end>' in the first and '<eos>' in the second");
  other = small_bpe();
  other["model"]["vocab"]["ac"] = 6;  // where the first has a hole
  EXPECT_EQ(first_difference(*bpe, *parse(other)), "token 6 is none in the first and 'ac' in the second");
  // Spellings decide, not what they decode to.
  EXPECT_EQ(first_difference(*bpe, *parse(small_words())),
            "token 0 is 'a' in the first and 'the' in the second");
}

TEST(Tokenizer, IdsOutOfRangeAreUsageErrors) {
  const auto tokenizer = parse(small_bpe());
  for (const std::int64_t id : {-1ll, 6ll, 8ll, 1ll << 40}) {  // 6 is a hole
    const Error error = test::error_of([&] { return tokenizer->decode(Ids{0, id}); });
    EXPECT_EQ(error.kind(), ErrorKind::usage) << id;
    EXPECT_THAT(error.what(), HasSubstr("at place 1"));
  }
}

TEST(Tokenizer, SmallWords) {
  const auto tokenizer = parse(small_words());
  EXPECT_EQ(tokenizer->encode(" the  fox\nruns"), (Ids{0, 1, 2}));
  EXPECT_EQ(tokenizer->decode(Ids{0, 1}), "the fox");
  json strict = small_words();
  strict["model"]["unk_token"] = "absent";
  EXPECT_THAT([&] { (void)parse(strict)->encode("the dog"); },
              ThrowsMessage<Error>(HasSubstr("the word 'dog' is not in the vocabulary")));
}

// The trained vocabulary has all 256 bytes, so any bytes at all survive.
TEST(Tokenizer, ArbitraryBytesRoundTrip) {
  const auto tokenizer =
      load_tokenizer(std::filesystem::path(TWISTOR_SOURCE_DIR) / "tests/golden/tokenizers/gpt2");
  std::mt19937 random(5);
  for (int repeat = 0; repeat < 300; ++repeat) {
    std::string text;
    for (auto n = random() % 60; n > 0; --n)
      text += static_cast<char>(static_cast<unsigned char>(random() % 256));
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST(LoadTokenizer, FoldersAndFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(load_tokenizer(folder.path()), nullptr);
  const auto gguf = folder.write("m.gguf", test::small_vocabulary().build());
  EXPECT_EQ(load_tokenizer(gguf)->encode("ab abc<|end|>"), (Ids{5, 6, 3, 0}));
  EXPECT_EQ(load_tokenizer(gguf)->eos_id(), 0);
  const auto bare =
      folder.write("bare.gguf", test::GgufBytes().string("general.architecture", "llama").build());
  EXPECT_EQ(load_tokenizer(bare), nullptr);
  EXPECT_THAT([&] { (void)load_tokenizer(folder.path() / "absent"); },
              ThrowsMessage<Error>(HasSubstr("no such file or folder")));
  EXPECT_THAT([&] { (void)load_tokenizer(folder.write("x.bin", "x")); },
              ThrowsMessage<Error>(HasSubstr("expected a folder or a .gguf file")));
  folder.write("vocab.json", "{}");
  EXPECT_THAT([&] { (void)load_tokenizer(folder.path()); },
              ThrowsMessage<Error>(HasSubstr("merges.txt is missing")));
}

TEST(LoadTokenizer, EndOfTextComesFromTheFilesBeside) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_bpe().dump());
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), std::nullopt);
  folder.write("config.json", R"({"eos_token_id": [2, 3]})");
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), 2);
  folder.write("config.json", R"({"eos_token_id": 1})");
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), 1);
  folder.write("tokenizer_config.json", R"({"eos_token": {"content": "<end>"}})");
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), 7);
  folder.write("tokenizer_config.json", R"({"eos_token": "c"})");
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), 2);
  folder.write("config.json", "{");
  EXPECT_THAT([&] { (void)load_tokenizer(folder.path()); },
              ThrowsMessage<Error>(HasSubstr("config.json: no valid JSON")));
}

TEST(LoadTokenizer, EndsOfATextFromGenerationConfigGoFirst) {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", small_bpe().dump());
  folder.write("config.json", R"({"eos_token_id": [2, 3]})");
  EXPECT_EQ(load_tokenizer(folder.path())->end_ids(), (Ids{2, 3}));
  folder.write("tokenizer_config.json", R"({"eos_token": "<end>"})");
  EXPECT_EQ(load_tokenizer(folder.path())->end_ids(), Ids{7});
  folder.write("generation_config.json", R"({"eos_token_id": [4, 0]})");
  EXPECT_EQ(load_tokenizer(folder.path())->end_ids(), (Ids{4, 0})) << "id 0 is a token";
  EXPECT_EQ(load_tokenizer(folder.path())->eos_id(), 4);
  folder.write("generation_config.json", R"({"eos_token_id": 0})");
  EXPECT_EQ(load_tokenizer(folder.path())->end_ids(), Ids{0});
  for (const char* none : {R"({"eos_token_id": null})", R"({"eos_token_id": []})", "{}"}) {
    folder.write("generation_config.json", none);
    EXPECT_EQ(load_tokenizer(folder.path())->end_ids(), Ids{7}) << none;
  }
  folder.write("generation_config.json", R"({"eos_token_id": "x"})");
  EXPECT_THAT([&] { (void)load_tokenizer(folder.path()); },
              ThrowsMessage<Error>(HasSubstr("generation_config.json: eos_token_id: expected an integer")));
}

/// The files that say what stands in front of a text, and what then does.
TEST(LoadTokenizer, SpecialTokensInFrontFollowTheFiles) {
  const TemporaryFolder folder;
  json document = small_bpe();
  const auto front = [&] {
    folder.write("tokenizer.json", document.dump());
    return load_tokenizer(folder.path())->special_tokens();
  };
  EXPECT_TRUE(front().before.empty());
  EXPECT_EQ(front().rule, "");
  folder.write("tokenizer_config.json", R"({"bos_token": "<end>", "add_bos_token": true})");
  EXPECT_EQ(front().before, Ids{7});
  EXPECT_EQ(front().rule, "add_bos_token of tokenizer_config.json");
  folder.write("tokenizer_config.json", R"({"bos_token": "<end>"})");
  EXPECT_TRUE(front().before.empty()) << "a name alone puts nothing there";
  document["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<end>": {"id": "<end>", "ids": [7], "tokens": ["<end>"]}}})");
  EXPECT_EQ(front().before, Ids{7});
  EXPECT_EQ(front().rule, "the post_processor of tokenizer.json");
  folder.write("tokenizer_config.json", R"({"bos_token": {"content": "<end>"}, "add_bos_token": true})");
  EXPECT_EQ(front().before, Ids{7}) << "never doubled";
  folder.write("tokenizer_config.json", R"({"bos_token": "<end>", "add_bos_token": false})");
  EXPECT_TRUE(front().before.empty());
  folder.write("tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_EQ(front().before, Ids{7}) << "no file says which token";
  folder.write("special_tokens_map.json", R"({"bos_token": "<end>"})");
  EXPECT_TRUE(front().before.empty());
}

TEST(Front, IsPutOnceAndTakenAway) {
  json document = small_bpe();
  document["post_processor"] = json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<end>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "<end>", "type_id": 0}}],
    "pair": [], "special_tokens": {"<end>": {"id": "<end>", "ids": [7], "tokens": ["<end>"]}}})");
  const auto tokenizer = parse(document);
  EXPECT_EQ(tokenizer->encode_with_template("ab", 9).ids, (Ids{7, 4, 7}));
  EXPECT_EQ(encode_from_start(*tokenizer, "ab"), (Ids{7, 4})) << "nothing behind a text that goes on";
  EXPECT_EQ(encode_from_start(*tokenizer, "<end>ab"), (Ids{7, 4})) << "the text spells it out itself";
  EXPECT_EQ(encode_from_start(*tokenizer, ""), Ids{7});
  const Ids with{7, 4}, without{4, 7};
  EXPECT_EQ(without_front(*tokenizer, with).size(), 1u);
  EXPECT_EQ(without_front(*tokenizer, without).size(), 2u);
  const auto bare = parse(small_bpe());
  EXPECT_EQ(encode_from_start(*bare, "ab"), Ids{4});
  EXPECT_EQ(without_front(*bare, with).size(), 2u);
}

TEST(GgufTokenizer, BeginsTextsAsTheFileOrItsKindSays) {
  const auto front = [](test::GgufBytes gguf) {
    const TemporaryFolder folder;
    return load_tokenizer(folder.write("m.gguf", gguf.u32("tokenizer.ggml.bos_token_id", 0).build()))
        ->special_tokens();
  };
  EXPECT_TRUE(front(test::small_vocabulary()).before.empty());
  EXPECT_EQ(front(test::small_vocabulary().value<std::uint8_t>("tokenizer.ggml.add_bos_token", 7, 1)).before,
            Ids{0});
  EXPECT_EQ(front(test::small_vocabulary("llama-bpe")).before, Ids{0})
      << "Llama 3's do, whether the file says it or not";
  EXPECT_TRUE(
      front(test::small_vocabulary("llama-bpe").value<std::uint8_t>("tokenizer.ggml.add_bos_token", 7, 0))
          .before.empty());
}

TEST(GgufTokenizer, NamesAllEndsOfATextAndTakesTypesOfAnyWidth) {
  const TemporaryFolder folder;
  const auto load = [&](const test::GgufBytes& gguf) {
    return load_tokenizer(folder.write("m.gguf", gguf.build()));
  };
  EXPECT_EQ(load(test::small_vocabulary().u32("tokenizer.ggml.eot_token_id", 3))->end_ids(), (Ids{0, 3}));
  const auto with_types = [&](std::uint32_t type, auto zero) {
    test::GgufBytes gguf;
    gguf.string("general.architecture", "llama").string("tokenizer.ggml.model", "gpt2");
    gguf.strings("tokenizer.ggml.tokens", {"<|end|>", "a", "b", "ab"})
        .strings("tokenizer.ggml.merges", {"a b"});
    gguf.array_head("tokenizer.ggml.token_type", type, 4);
    for (const int value : {3, 1, 1, 1})
      test::GgufBytes::put(gguf.header_values, static_cast<decltype(zero)>(value));
    return load(gguf)->encode("ab<|end|>");
  };
  EXPECT_EQ(with_types(0, std::uint8_t{}), (Ids{3, 0}));
  EXPECT_EQ(with_types(4, std::uint32_t{}), (Ids{3, 0}));
  EXPECT_EQ(with_types(5, std::int32_t{}), (Ids{3, 0}));
  EXPECT_EQ(with_types(11, std::int64_t{}), (Ids{3, 0}));
}

/// Marks join letters under Qwen 3.5's rule and Tekken cuts before a capital: the merges below need both.
TEST(GgufTokenizer, Qwen35AndTekkenCutTextsByTheirOwnRules) {
  const TemporaryFolder folder;
  const auto encode = [&](std::string_view pre, std::string_view text) {
    test::GgufBytes gguf;
    gguf.string("general.architecture", "llama")
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", pre);
    // e and U+0301 (bytes CC 81, spelled \u00cc \u0123 there), ab, AB
    gguf.strings("tokenizer.ggml.tokens",
                 {"e", "\u00cc", "\u0123", "\u00cc\u0123", "e\u00cc\u0123", "b", "A", "bA", "bb"});
    gguf.strings("tokenizer.ggml.merges", {"\u00cc \u0123", "e \u00cc\u0123", "b A", "b b"});
    return load_tokenizer(folder.write("m.gguf", gguf.build()))->encode(text);
  };
  EXPECT_EQ(encode("qwen2", "e\u0301"), (Ids{0, 3}));
  EXPECT_EQ(encode("qwen35", "e\u0301"), Ids{4});
  EXPECT_EQ(encode("qwen2", "bA"), Ids{7});
  EXPECT_EQ(encode("tekken", "bA"), (Ids{5, 6}));
  EXPECT_EQ(encode("tekken", "bb"), Ids{8});
  EXPECT_EQ(encode("tekken", "e\u0301"), Ids{4});
}

struct Change {
  const char* pointer;  // where in the document
  const char* value;    // the JSON put there
  const char* message;
};

void expect_refused(const json& good, const std::vector<Change>& changes) {
  EXPECT_NO_THROW((void)parse(good));
  for (const Change& change : changes) {
    json bad = good;
    bad[json::json_pointer(change.pointer)] = json::parse(change.value);
    EXPECT_THAT([&] { (void)parse(bad); },
                ThrowsMessage<Error>(AllOf(HasSubstr("test.json"), HasSubstr(change.message))))
        << change.pointer << " = " << change.value;
  }
}

TEST(TokenizerJson, MalformedBpeGetsOneClearError) {
  const Change changes[] = {
      {"/model", "null", "expected a member 'model', got none"},
      {"/model", "[]", "model: expected an object, got array"},
      {"/model/type", "\"Trigram\"", "the tokenizer model 'Trigram' is not supported"},
      {"/model/type", "3", "model.type: expected a string, got 3"},
      {"/model/vocab", "[]", "model.vocab: expected an object, got array"},
      {"/model/vocab/a", "-1", "model.vocab.a: expected an integer in [0, "},
      {"/model/vocab/a", "1099511627776", "model.vocab.a: expected an integer in [0, "},
      {"/model/vocab/a", "18446744073709551615", "model.vocab.a: expected an integer in [0, "},
      {"/model/vocab/a", "0.5", "model.vocab.a: expected an integer, got 0.5"},
      {"/model/vocab/a", "1", "the id 1 is also that of 'a'"},
      {"/model/merges", "{}", "model.merges: expected an array"},
      {"/model/merges/0", "\"ab\"",
       "model.merges[0]: expected two tokens with one space between them, got 'ab'"},
      {"/model/merges/0", "\"a b c\"", "model.merges[0]: expected two tokens"},
      {"/model/merges/0", "[\"a\"]", "model.merges[0]: expected two tokens, got 1"},
      {"/model/merges/0", "[\"a\", 3]", "model.merges[0][1]: expected a string"},
      {"/model/merges/1", "\"b c\"", "model.merges[1]: the token 'bc' is not in the vocabulary"},
      {"/model/merges/0", "[\"\", \"a\"]", "model.merges[0]: expected two tokens with something in both"},
      {"/model/continuing_subword_prefix", "\"b\"",
       "model.merges[0]: expected two tokens with something in both"},
      {"/model/byte_fallback", "1", "model.byte_fallback: expected true or false"},
      {"/model/dropout", "0.1", "model.dropout: random merges are not supported"},
      {"/normalizer", R"({"type": "NFX"})", "normalizer: the normalizer 'NFX' is not supported"},
      {"/decoder", R"({"type": "CTC"})", "decoder: the decoder 'CTC' is not supported"},
      {"/pre_tokenizer/type", "\"UnicodeScripts\"", "the pre-tokenizer 'UnicodeScripts' is not supported"},
      {"/pre_tokenizer/add_prefix_space", "\"no\"", "pre_tokenizer.add_prefix_space: expected true or false"},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "(x"}, "behavior": "Isolated"})",
       "pre_tokenizer.pattern.Regex: compiling a pattern: the regular expression '(x' is wrong at byte 2"},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "[a&&[b]]"}, "behavior": "Isolated"})",
       "the pattern '[a&&[b]]' is not supported"},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {}, "behavior": "Isolated"})",
       "expected a member 'Regex'"},
      {"/pre_tokenizer", R"({"type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "Dropped"})",
       "the behavior 'Dropped' is not supported"},
      {"/pre_tokenizer", R"({"type": "CharDelimiterSplit", "delimiter": "ab"})",
       "pre_tokenizer.delimiter: expected one character, got 'ab'"},
      {"/pre_tokenizer", R"({"type": "FixedLength", "length": 0})",
       "pre_tokenizer.length: expected an integer in [1, "},
      {"/pre_tokenizer", R"({"type": "Metaspace", "replacement": ""})", "expected one character, got ''"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "prepend_scheme": "last"})",
       "expected 'always', 'first' or 'never', got 'last'"},
      {"/pre_tokenizer", R"({"type": "Metaspace", "prepend_scheme": "first", "add_prefix_space": false})",
       "'first' contradicts add_prefix_space = false"},
      {"/added_tokens/0/content", "\"\"", "added_tokens[0]: expected a token, got an empty one"},
      {"/added_tokens/0/id", "5", "added_tokens[0]: '<end>' with id 5 contradicts the vocabulary"},
      {"/added_tokens/0/id", "-5", "added_tokens[0].id: expected an integer in [0, "},
      {"/added_tokens/0/id", "1e30", "added_tokens[0].id: expected an integer, got 1e+30"},
      {"/added_tokens/1", R"({"id": 7, "content": "x"})", "added_tokens[1]: the id 7 appears twice"},
      {"/added_tokens/0/special", "1", "added_tokens[0].special: expected true or false"},
  };
  expect_refused(small_bpe(), {std::begin(changes), std::end(changes)});
}

TEST(TokenizerJson, MalformedWordsGetOneClearError) {
  expect_refused(small_words(),
                 {{"/model/vocab/fox", "null", "model.vocab.fox: expected an integer, got null"},
                  {"/decoder", R"({"type": "WordPiece"})", "decoder: expected a member 'prefix'"}});
}

TEST(TokenizerJson, MalformedUnigramGetsOneClearError) {
  const json good = json::parse(
      R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0], ["a", -1.5], ["ab", -2]]}})");
  EXPECT_EQ(parse(good)->encode("abaxyb"), (Ids{2, 1, 0}));
  expect_refused(good,
                 {{"/model/vocab", R"({"a": 1})", "model.vocab: expected an array, got object"},
                  {"/model/vocab/1", R"(["a"])", "model.vocab[1]: expected a token and its score, got 1"},
                  {"/model/vocab/1/0", "7", "model.vocab[1][0]: expected a string, got 7"},
                  {"/model/vocab/1/1", "null", "model.vocab[1][1]: expected a number, got null"},
                  {"/model/vocab/2/0", "\"a\"", "model.vocab[2]: the token 'a' is there twice"},
                  {"/model/unk_id", "3", "model.unk_id: expected an integer in [0, 2], got 3"},
                  {"/model/unk_id", "-1", "model.unk_id: expected an integer in [0, 2], got -1"},
                  {"/model/byte_fallback", "\"yes\"", "model.byte_fallback: expected true or false"}});
  json without = good;
  without["model"].erase("unk_id");
  EXPECT_EQ(parse(without)->encode("aa"), (Ids{1, 1}));
  EXPECT_THAT([&] { (void)parse(without)->encode("x"); },
              ThrowsMessage<Error>(HasSubstr("the file names no unknown token")));
}

TEST(TokenizerJson, ChainsOfPreTokenizersCannotFillTheMemory) {
  json document = small_bpe();
  const json step = json::parse(R"({"type": "ByteLevel", "add_prefix_space": true, "use_regex": false})");
  document["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::vector<json>(60, step)}};
  EXPECT_THAT([&] { (void)parse(document)->encode("\x01\x02\x03"); },
              ThrowsMessage<Error>(HasSubstr("expected at most 64 times the 3 bytes")));
}

TEST(TokenizerJson, BpeWithoutItsUnknownTokenSaysSoWhenItIsNeeded) {
  json document = small_bpe();
  document["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(parse(document)->encode("ab"), Ids{4});
  EXPECT_THAT([&] { (void)parse(document)->encode("abz"); },
              ThrowsMessage<Error>(HasSubstr("neither is the unknown token '<unk>'")));
}

TEST(TokenizerJson, WhatIsNoJson) {
  const std::string deep(10'000, '[');
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "no valid JSON"},
      {"{", "no valid JSON: parse error at line 1, column 2"},
      {"[1, 2", "no valid JSON"},
      {deep, "nested more than 64 deep"},
      {deep + std::string(10'000, ']'), "nested more than 64 deep"},
      {"{\"a\":" + deep, "nested more than 64 deep"},
      {"\"\xff\"", "no valid JSON"},
      {"{\"a\": 1e999}", "no valid JSON"},
      {"null", "expected an object, got null"},
      {"[]", "expected an object, got array"},
      {small_bpe().dump().substr(0, 200), "no valid JSON"}};
  for (const auto& [text, message] : bad)
    EXPECT_THAT([&] { (void)parse_tokenizer_json(text, "test.json"); },
                ThrowsMessage<Error>(HasSubstr(message)))
        << text.substr(0, 40);
  EXPECT_NO_THROW((void)format::parse_json("\"" + deep + "\"", "reading a string"))
      << "brackets inside strings do not count";
}

TEST(GgufTokenizer, MalformedVocabulariesGetOneClearError) {
  const auto refuse = [](auto change, const std::string& message) {
    test::GgufBytes gguf;
    change(gguf);
    const std::string bytes = gguf.build();
    EXPECT_THAT([&] { (void)tokenizer_of_gguf(format::GgufFile::parse(test::as_bytes(bytes), "v.gguf")); },
                ThrowsMessage<Error>(AllOf(HasSubstr("v.gguf"), HasSubstr(message))));
  };
  refuse([](auto& g) { g.string("tokenizer.ggml.model", "rwkv"); },
         "tokenizer.ggml.model: 'rwkv' is not supported");
  refuse([](auto& g) { g.u32("tokenizer.ggml.model", 1); }, "expected a string, got u32");
  refuse([](auto& g) { g.string("tokenizer.ggml.model", "gpt2"); }, "key 'tokenizer.ggml.tokens'");
  const auto base = [](auto& g) -> auto& {
    return g.string("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", {"a", "b"});
  };
  refuse([&](auto& g) { base(g); }, "key 'tokenizer.ggml.merges'");
  refuse([&](auto& g) { base(g).strings("tokenizer.ggml.merges", {"a b"}); },
         "merge 0: the token 'ab' is not in the vocabulary");
  refuse([&](auto& g) { base(g).strings("tokenizer.ggml.merges", {"ab"}); }, "merge 0: expected two tokens");
  const auto full = [&](auto& g) -> auto& {
    return base(g).strings("tokenizer.ggml.merges", {});
  };
  refuse([&](auto& g) { full(g).string("tokenizer.ggml.pre", "viking"); },
         "tokenizer.ggml.pre: 'viking' is not supported");
  refuse([&](auto& g) { full(g).i32s("tokenizer.ggml.token_type", {1}); },
         "one type for each of 2 tokens, got 1");
  refuse([&](auto& g) { full(g).u32("tokenizer.ggml.eos_token_id", 2); },
         "tokenizer.ggml.eos_token_id: expected an id of the 2 tokens");
}

}  // namespace
}  // namespace twistor::text
