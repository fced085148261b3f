// SPDX-License-Identifier: Apache-2.0
// Post-processors, decoders, WordPiece and added tokens as parts of a tokenizer.json: what is refused and
// with which message, cutting to a length, hostile lengths.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <random>

#include "support/time_limit.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Ids = std::vector<std::int64_t>;

json small_bert() {
  return json::parse(R"({
    "added_tokens": [{"id": 1, "content": "[CLS]", "special": true}, {"id": 2, "content": "[SEP]", "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 2}}],
      "pair": [], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "truncation": {"max_length": 1}, "padding": {"strategy": {"Fixed": 9}},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
      "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##a": 4, "aab": 5, "##ab": 6, ".": 7, "##": 8}}})");
}

std::unique_ptr<Tokenizer> parse(const json& document) {
  return parse_tokenizer_json(document.dump(), "test.json");
}

json changed(json document, const char* pointer, const std::string& value) {
  document[json::json_pointer(pointer)] = json::parse(value);
  return document;
}

TEST(WordPiece, TheLongestPieceFirst) {
  const auto tokenizer = parse(small_bert());
  EXPECT_EQ(tokenizer->encode("aab aaab AÁ. ab b"), (Ids{5, 3, 4, 6, 3, 4, 7, 0, 0}));
  EXPECT_EQ(tokenizer->decode(Ids{5, 3, 4, 6, 7}), "aab aaab.");
  EXPECT_EQ(tokenizer->encode("##a"), (Ids{0, 0, 3})) << "# is punctuation, and unknown";
  const auto plain = parse(changed(small_bert(), "/pre_tokenizer", R"({"type": "WhitespaceSplit"})"));
  EXPECT_EQ(plain->encode("##a ##"), (Ids{4, 8})) << "a word may be spelled like a continuation";
  const auto strict = parse(changed(small_bert(), "/model/unk_token", R"("absent")"));
  EXPECT_THAT([&] { (void)strict->encode("b"); },
              ThrowsMessage<Error>(HasSubstr("the word 'b' is not in the vocabulary")));
}

/// Llama 2's vocabulary in small, with a space in front of texts by Metaspace.
TEST(Metaspace, PrependsAsItsSchemeOrItsOldFlagSays) {
  const auto with = [](const char* pre_tokenizer) {
    json document = json::parse(R"({"model": {"type": "WordLevel", "unk_token": "?",
      "vocab": {"?": 0, "a": 1, "\u2581a": 2, "b": 3, "\u2581b": 4, "<x>": 5}}, "added_tokens": [{"id": 5, "content": "<x>", "special": true}]})");
    document["pre_tokenizer"] = json::parse(pre_tokenizer);
    return parse(document)->encode("a b<x>a");
  };
  const Ids always{2, 4, 5, 2}, first{2, 4, 5, 1}, never{1, 4, 5, 1};
  EXPECT_EQ(with(R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})"), always);
  EXPECT_EQ(with(R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})"), first);
  EXPECT_EQ(with(R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "never"})"), never);
  EXPECT_EQ(with(R"({"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": true})"), always);
  EXPECT_EQ(with(R"({"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": false})"), never);
  EXPECT_EQ(
      with(
          R"({"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": true, "prepend_scheme": "first"})"),
      first);
}

TEST(EncodeWithTemplate, CutsTheTextAndNotTheTemplate) {
  const auto tokenizer = parse(small_bert());
  Encoding encoding = tokenizer->encode_with_template("a a a", 100);
  EXPECT_EQ(encoding.ids, (Ids{1, 3, 3, 3, 2})) << "truncation and padding in the file are not looked at";
  EXPECT_EQ(encoding.type_ids, (Ids{0, 1, 1, 1, 2}));
  encoding = tokenizer->encode_with_template("a . a", 4);
  EXPECT_EQ(encoding.ids, (Ids{1, 3, 7, 2}));
  EXPECT_EQ(encoding.type_ids, (Ids{0, 1, 1, 2}));
  EXPECT_EQ(tokenizer->encode_with_template("a", 2).ids, (Ids{1, 2}));
  EXPECT_EQ(tokenizer->encode_with_template("", 100).ids, (Ids{1, 2}));
  EXPECT_THAT(
      [&] { (void)tokenizer->encode_with_template("a", 1); },
      ThrowsMessage<Error>(HasSubstr("expected room for the 2 special tokens of the model, got 1 tokens")));
  const auto bare = parse(changed(small_bert(), "/post_processor", "null"));
  EXPECT_EQ(bare->encode_with_template("a .", 1).ids, Ids{3});
  EXPECT_EQ(bare->encode_with_template("a .", 0).ids, Ids{});
}

json pair_of(const char* between) {
  return json::parse(
      R"([{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},)" +
      std::string(between) + R"({"Sequence": {"id": "B", "type_id": 3}},
                     {"SpecialToken": {"id": "[SEP]", "type_id": 4}}])");
}

TEST(EncodePair, FollowsTheFormOfTheFile) {
  json document = small_bert();
  const auto separated = pair_of(R"({"SpecialToken": {"id": "[SEP]", "type_id": 1}},)");
  document["post_processor"]["pair"] = separated;
  const auto tokenizer = parse(document);
  ASSERT_TRUE(tokenizer->has_pair_form());
  const Encoding encoding = tokenizer->encode_pair("a .", "aab", 100);
  EXPECT_EQ(encoding.ids, (Ids{1, 3, 7, 2, 5, 2}));
  EXPECT_EQ(encoding.type_ids, (Ids{0, 0, 0, 1, 3, 4}));
  document["post_processor"]["pair"] = pair_of("");
  EXPECT_EQ(parse(document)->encode_pair("a .", "aab", 100).ids, (Ids{1, 3, 7, 5, 2}));
  document["post_processor"] =
      json{{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, document["post_processor"]}}};
  EXPECT_EQ(parse(document)->encode_pair("a .", "aab", 100).ids, (Ids{1, 3, 7, 5, 2}));
  document["post_processor"] =
      json::parse(R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]})");
  EXPECT_EQ(parse(document)->encode_pair("a", "aab", 100).type_ids, (Ids{0, 0, 0, 1, 1}));
  document["post_processor"]["type"] = "RobertaProcessing";
  EXPECT_EQ(parse(document)->encode_pair("a", "aab", 100).ids, (Ids{1, 3, 2, 2, 5, 2}));
  EXPECT_EQ(parse(document)->encode_pair("a", "aab", 100).type_ids, (Ids{0, 0, 0, 0, 0, 0}));
}

TEST(EncodePair, IsRefusedWhereTheFileHasNoForm) {
  json document = small_bert();
  const auto refuses = [&] {
    const auto tokenizer = parse(document);
    EXPECT_FALSE(tokenizer->has_pair_form());
    EXPECT_THAT([&] { (void)tokenizer->encode_pair("a", "a", 9); },
                ThrowsMessage<Error>(HasSubstr("the tokenizer's files have no form for pairs")));
  };
  refuses();  // "pair": []
  document["post_processor"]["pair"] = pair_of("");
  std::swap(document["post_processor"]["pair"][1], document["post_processor"]["pair"][2]);
  refuses();  // the second text first
  const json bert = json::parse(R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]})");
  document["post_processor"] = json{{"type", "Sequence"}, {"processors", {bert, bert}}};
  refuses();
  document["post_processor"] = nullptr;
  refuses();
  document["post_processor"] = bert;
  document["post_processor"]["sep"][1] = 99;
  EXPECT_THAT([&] { (void)parse(document); }, ThrowsMessage<Error>(HasSubstr("id 99 around texts")));
}

// By hand; the same lengths as the reference's are in tests/golden/encoders/*/pairs.json.
TEST(EncodePair, CutsTheLongerTextFirst) {
  using Lengths = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(cut_longest_first(3, 5, 8), Lengths(3, 5));
  EXPECT_EQ(cut_longest_first(3, 9, 8), Lengths(3, 5));
  EXPECT_EQ(cut_longest_first(9, 3, 8), Lengths(5, 3));
  EXPECT_EQ(cut_longest_first(9, 8, 7), Lengths(4, 3));
  EXPECT_EQ(cut_longest_first(8, 8, 7), Lengths(3, 4));
  EXPECT_EQ(cut_longest_first(0, 8, 3), Lengths(0, 3));
  EXPECT_EQ(cut_longest_first(5, 8, 0), Lengths(0, 0));
  json document = small_bert();
  document["post_processor"]["pair"] = pair_of("");
  EXPECT_THAT([&] { (void)parse(document)->encode_pair("a", "a", 1); },
              ThrowsMessage<Error>(HasSubstr("expected room for the 2 special tokens of the model, got 1")));
}

struct Change {
  const char* pointer;
  const char* value;
  const char* message;
};

TEST(Components, BadOnesGetOneClearError) {
  EXPECT_NO_THROW((void)parse(small_bert()));
  const Change changes[] = {
      {"/model/vocab/a", "4", "the id 4 is also that of '##a'"},
      {"/model/vocab/a", "99999999", "model.vocab.a: expected an integer in [0, "},
      {"/model/max_input_chars_per_word", "-1",
       "model.max_input_chars_per_word: expected an integer in [0, "},
      {"/model/continuing_subword_prefix", "3", "model.continuing_subword_prefix: expected a string"},
      {"/post_processor", R"({"type": "Other"})",
       "post_processor: the post-processor 'Other' is not supported"},
      {"/post_processor", R"({"type": "BertProcessing", "sep": ["[SEP]", 2]})",
       "post_processor: expected a member 'cls'"},
      {"/post_processor", R"({"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]"]})",
       "post_processor.cls: expected a token and its id"},
      {"/post_processor", R"({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 77]})",
       "the template puts id 77 around texts, which no token has"},
      {"/post_processor/single", "[]", "post_processor.single: expected the text 'A' once"},
      {"/post_processor/single/1/Sequence/id", "\"B\"",
       "single[1].Sequence: expected the text 'A' once, got 'B'"},
      {"/post_processor/single/2", R"({"Sequence": {"id": "A", "type_id": 0}})",
       "single[2].Sequence: expected the text 'A' once"},
      {"/post_processor/single/0/SpecialToken/id", "\"[X]\"", "the special token '[X]' is not defined"},
      {"/post_processor/special_tokens/[CLS]/ids", "[9]",
       "the template puts id 9 around texts, which no token has"},
      {"/post_processor/special_tokens/[CLS]/ids", "[-1]", "ids[0]: expected an integer in [0, "},
      {"/post_processor/single/0", "{}", "post_processor.single[0]: expected a member 'Sequence'"},
      {"/decoder", R"({"type": "CTC"})", "decoder: the decoder 'CTC' is not supported"},
      {"/decoder", R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, {}]})",
       "decoder.decoders[1]: expected a member 'type'"},
      {"/decoder", R"({"type": "Strip", "content": "", "start": 0, "stop": 0})",
       "content: expected a character"},
      {"/decoder", R"({"type": "Strip", "content": " ", "start": -1, "stop": 0})",
       "decoder.start: expected an integer in [0, "},
      {"/decoder", R"({"type": "Metaspace", "replacement": ""})", "replacement: expected a character"},
      {"/decoder", R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "some"})",
       "expected 'always', 'first' or 'never', got 'some'"},
      {"/decoder", R"({"type": "BPEDecoder", "suffix": ""})", "suffix: expected a text"},
      {"/decoder", R"({"type": "Replace", "pattern": {"String": ""}, "content": ""})",
       "pattern: expected a string to replace"},
      {"/added_tokens/2", R"({"id": 20, "content": "[CLS]"})",
       "'[CLS]' with id 20 contradicts the vocabulary"},
      {"/added_tokens/2", R"({"id": 2, "content": "[SEP]"})", "added_tokens[2]: the id 2 appears twice"},
      {"/added_tokens", R"([{"id": 20, "content": "x"}, {"id": 21, "content": "x"}])",
       "added_tokens[1]: 'x' appears twice"},
      {"/added_tokens/0/lstrip", "1", "added_tokens[0].lstrip: expected true or false"},
      {"/added_tokens/0/id", "2147483648", "added_tokens[0].id: expected an integer in [0, "},
  };
  for (const Change& change : changes)
    EXPECT_THAT([&] { (void)parse(changed(small_bert(), change.pointer, change.value)); },
                ThrowsMessage<Error>(AllOf(HasSubstr("test.json"), HasSubstr(change.message))))
        << change.pointer << " = " << change.value;
}

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  return seconds_of([&] { (void)tokenizer.encode(text); });
}

// 100,000 equal letters: with a longest token of 50 letters, looking at all shorter and shorter pieces of
// what is left would take 5e9 steps.
TEST(Components, HostileLengthsTakeLinearTime) {
  json document = changed(small_bert(), "/model/max_input_chars_per_word", "1000000000");
  document["model"]["vocab"][std::string(50, 'a')] = 9;
  document["model"]["vocab"]["##" + std::string(50, 'a')] = 10;
  json with_added = document;
  for (int i = 0; i < 3000; ++i)
    with_added["added_tokens"].push_back({{"id", 100 + i},
                                          {"content", "<<<" + std::to_string(i) + ">"},
                                          {"lstrip", true},
                                          {"rstrip", true},
                                          {"single_word", i % 2 == 0}});
  with_added["added_tokens"].push_back({{"id", 5000}, {"content", " "}, {"rstrip", true}});
  const auto words = parse(document);
  const auto added = parse(with_added);
  for (const std::string& text :
       {std::string(100'000, 'a'), std::string(100'000, ' '), std::string(100'000, '<'),
        std::string(100'000, '.'), std::string(100'000, '\xff')}) {
    EXPECT_LT(seconds_to_encode(*words, text), test::time_limit(1.0)) << text.front();
    EXPECT_LT(seconds_to_encode(*added, text), test::time_limit(1.0)) << text.front();
  }
  EXPECT_EQ(words->encode(std::string(100'000, 'a')).size(), 2000u);
}

TEST(Components, ArbitraryBytes) {
  const auto tokenizer = parse(small_bert());
  std::mt19937 random(7);
  for (int repeat = 0; repeat < 300; ++repeat) {
    std::string text;
    for (auto n = random() % 60; n > 0; --n)
      text += static_cast<char>(static_cast<unsigned char>(random() % 256));
    for (const std::int64_t id : tokenizer->encode(text)) EXPECT_LT(id, tokenizer->vocab_size());
  }
  EXPECT_EQ(tokenizer->encode("a\xff"
                              "a"),
            (Ids{3, 4}))
      << "clean_text takes it away";
}

}  // namespace
}  // namespace twistor::text
