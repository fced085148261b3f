// SPDX-License-Identifier: Apache-2.0
// DeBERTa's spm.model against the tokenizer.json that it becomes, and files that are damaged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/text/tokenizer_formats.hpp"

namespace twistor::text {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::message_of;
using testing::HasSubstr;

const fs::path goldens = fs::path(TWISTOR_SOURCE_DIR) / "tests/golden";

std::string model_bytes() {
  return test::read_file(goldens / "encoders/deberta/spm.model");
}

/// Equal ids, texts and templates on every hard string.
void expect_same(const Tokenizer& ours, const Tokenizer& converted) {
  EXPECT_EQ(ours.vocab_size(), converted.vocab_size());
  const json strings = json::parse(test::read_file(goldens / "text_parity/strings.json"));
  ASSERT_GT(strings.size(), 2000U);
  std::size_t n_tokens = 0;
  for (const json& one : strings) {
    const auto text = one.get<std::string>();
    const Encoding expected = converted.encode_with_template(text, 1 << 20);
    const Encoding found = ours.encode_with_template(text, 1 << 20);
    ASSERT_EQ(found.ids, expected.ids) << text;
    ASSERT_EQ(found.type_ids, expected.type_ids) << text;
    const Encoding pair = ours.encode_pair(text, "a film", 1 << 20);
    ASSERT_EQ(pair.ids, converted.encode_pair(text, "a film", 1 << 20).ids) << text;
    ASSERT_EQ(pair.type_ids, converted.encode_pair(text, "a film", 1 << 20).type_ids) << text;
    ASSERT_EQ(ours.decode(found.ids), converted.decode(expected.ids)) << text;
    n_tokens += found.ids.size();
  }
  EXPECT_GT(n_tokens, 5 * strings.size());
}

TEST(SpmModel, IsTheTokenizerJsonThatTheReferenceMakesOfIt) {
  const auto converted =
      parse_tokenizer_json(test::read_file(goldens / "encoders/deberta/tokenizer.json"), "tokenizer.json");
  expect_same(*parse_spm_model(model_bytes(), "spm.model"), *converted);
}

TEST(SpmModel, FollowsTheFileBesideIt) {
  const json parity = json::parse(test::read_file(goldens / "text_parity/deberta_v2_converted.json"));
  const auto converted = parse_tokenizer_json(parity["tokenizer"].dump(), "tokenizer.json");
  const test::TemporaryFolder folder;
  folder.write("spm.model", model_bytes());
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": true, "split_by_punct": true})");
  expect_same(*load_tokenizer(folder.path()), *converted);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer"})");
  EXPECT_THAT(message_of([&] { (void)load_tokenizer(folder.path()); }), HasSubstr("T5Tokenizer"));
  folder.write("tokenizer_config.json", R"({"cls_token": "<s>"})");
  EXPECT_THAT(message_of([&] { (void)load_tokenizer(folder.path()); }), HasSubstr("no control token '<s>'"));
}

TEST(SpmModel, ThatIsDamagedIsRefused) {
  const std::string whole = model_bytes();
  const auto message = [](const std::string& bytes) {
    return message_of([&] { (void)parse_spm_model(bytes, "spm.model"); });
  };
  EXPECT_EQ(message(whole), "no error");
  EXPECT_THAT(message(whole.substr(0, whole.size() / 2)), HasSubstr("spm.model"));
  EXPECT_THAT(message(""), HasSubstr("no control token '[CLS]'"));
  EXPECT_THAT(message("\x0f"), HasSubstr("a field of the unknown kind 7"));
  EXPECT_THAT(message(std::string("\x0a\x7f", 2) + "abc"), HasSubstr("expected 127 more bytes, got 3"));
  EXPECT_THAT(message(std::string(11, '\xff')), HasSubstr("more than 64 bits"));
  const std::string bpe("\x12\x02\x18\x02", 4);  // trainer_spec { model_type: BPE }
  EXPECT_THAT(message(whole + bpe), HasSubstr("a model of the kind 2, expected 1"));
}

}  // namespace
}  // namespace twistor::text
