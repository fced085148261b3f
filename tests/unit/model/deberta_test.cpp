// SPDX-License-Identifier: Apache-2.0
// DeBERTa-v2 and v3: every setting of its attention against the reference, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/families/encoder_families.hpp"
#include "support/encoder_golden.hpp"
#include "support/engines.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/model/reward_model.hpp"
#include "twistor/model/sequence_classifier.hpp"

namespace twistor::model {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const fs::path deberta = encoder_goldens / "deberta";
// float32 here, float64 in the reference; as for the other encoders (encoder_test.cpp).
constexpr double tolerance = 1e-5;

json read_json(const fs::path& path) {
  return json::parse(test::read_file(path));
}

/// The golden folder with some keys of config.json changed.
class Changed {
 public:
  explicit Changed(const json& changes) {
    fs::copy(deberta, folder_.path(), fs::copy_options::recursive);
    json config = read_json(deberta / "config.json");
    config.update(changes);
    folder_.write("config.json", config.dump());
  }
  [[nodiscard]] const fs::path& path() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

TokenTexts without_types(const TokenTexts& texts) {
  TokenTexts out = texts;
  std::ranges::fill(out.type_ids, 0);
  return out;
}

class Deberta : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (test::engine_named(GetParam()) == nullptr) GTEST_SKIP() << "no GPU is asked for";
  }
  [[nodiscard]] LoadOptions options() const {
    LoadOptions out;
    out.engine = test::engine_named(GetParam());
    return out;
  }
};

TEST_P(Deberta, AgreesWithTheReferenceInEverySetting) {
  const EncoderGolden golden("deberta");
  const json variants = read_json(deberta / "variants.json");
  ASSERT_EQ(variants.size(), 17U);
  const std::vector<std::int64_t> last{golden.texts.size() - 1};
  for (const auto& [name, changes] : variants.items()) {
    const SequenceClassifier model(Changed(changes).path(), options());
    const TokenTexts texts = changes.contains("type_vocab_size") ? golden.texts : without_types(golden.texts);
    const auto logits = golden.floats("logits_" + name);
    EXPECT_LT(relative_difference(model.logits(texts), logits), tolerance) << name;
    EXPECT_LT(
        relative_difference(all_hidden(model.encoder(), pick(texts, last)), golden.floats("hidden_" + name)),
        tolerance)
        << name;
    // Each setting matters: the model without it is another one.
    EXPECT_GT(relative_difference(golden.floats("logits_gelu"), logits), 1e-2) << name;
  }
}

/// A text's hidden states do not depend on its neighbours in a batch, whose tokens stand beside its own.
TEST_P(Deberta, AConvolutionEndsWhereItsTextEnds) {
  const EncoderGolden golden("deberta");
  const SequenceClassifier model(Changed(json{{"conv_kernel_size", 3}}).path(), options());
  const TokenTexts texts = without_types(golden.texts);
  const std::vector<float> together = model.logits(texts);
  for (std::int64_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::int64_t> one{i};
    EXPECT_NEAR(model.logits(pick(texts, one))[0], together[static_cast<std::size_t>(i)], 1e-6) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Deberta, test::every_engine,
                         [](const auto& test) { return std::string(test.param); });

TEST(DebertaDistances, FallIntoTheRowsOfTheReference) {
  const json cases = read_json(deberta / "rows.json");
  ASSERT_EQ(cases.size(), 8U);
  for (const json& one : cases) {
    DistanceTraits traits;
    traits.farthest = one.at("max_relative_positions");
    traits.buckets = std::max<std::int64_t>(0, one.at("position_buckets"));
    traits.span = traits.buckets > 0 ? traits.buckets : traits.farthest;
    const auto rows = one.at("rows").get<std::vector<std::int64_t>>();
    const auto largest = static_cast<std::int64_t>(rows.size() / 2);
    for (std::int64_t distance = -largest; distance <= largest; ++distance)
      ASSERT_EQ(row_of_distance(traits, distance), rows[static_cast<std::size_t>(distance + largest)])
          << traits.buckets << " buckets, distance " << distance;
  }
}

/// The raw logit, as for reward models on decoders, and the texts of the tokenizer that spm.model became.
TEST(DebertaReward, IsTheLogitThatTheReferenceGivesATextAlone) {
  const RewardModel reward(deberta);
  std::vector<std::string> texts;
  std::vector<float> expected;
  for (const json& one : read_json(deberta / "texts.json")) {
    texts.push_back(one.at("text"));
    expected.push_back(one.at("logits")[0]);
  }
  ASSERT_EQ(texts.size(), 6U);
  const std::vector<float> together = reward.logits(texts);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_NEAR(together[i], expected[i], 1e-5) << texts[i];
    EXPECT_EQ(reward.logits({&texts[i], 1})[0], together[i]) << "a batch is many batches of one";
  }
  // Texts that have the special tokens already, as chat templates write them.
  const std::vector<std::string> plain{texts[0]}, spelled{"[CLS]" + texts[0] + "[SEP]"};
  EXPECT_EQ(reward.logits(spelled, false), reward.logits(plain));
  EXPECT_NE(reward.logits(plain, false), reward.logits(plain));
  EXPECT_THAT(reward.description(), HasSubstr("DeBERTa"));
  EXPECT_EQ(reward.labels(), std::vector<std::string>{"LABEL_0"});
}

/// Prompts with answers: the tokens of the reference's tokenizers at several largest lengths, and the logits
/// of its models; those of "most" alone have them.
TEST(Answers, AreReadAsPairsAsTheReferenceReadsThem) {
  for (const char* name : {"bert", "roberta", "deberta"}) {
    const fs::path folder = encoder_goldens / name;
    const json cases = read_json(folder / "pairs.json");
    ASSERT_GE(cases.size(), 32U);
    const SequenceClassifier model(folder);
    ASSERT_TRUE(model.reads_pairs());
    const auto tokenizer = load_encoder_tokenizer(folder, model.encoder());
    std::vector<float> found, expected;
    for (const json& one : cases) {
      const std::vector<std::string> answer{one.at("second")};
      const TokenTexts texts = tokenise_answers(*tokenizer, one.at("first"), answer, one.at("most"));
      EXPECT_EQ(texts.ids, one.at("ids").get<std::vector<std::int64_t>>()) << name << one;
      EXPECT_EQ(texts.type_ids, one.at("type_ids").get<std::vector<std::int64_t>>()) << name << one;
      if (!one.contains("logits")) continue;
      const auto logits = one.at("logits").get<std::vector<float>>();
      expected.insert(expected.end(), logits.begin(), logits.end());
      const std::vector<float> ours = model.logits_of_answers(one.at("first"), answer);
      found.insert(found.end(), ours.begin(), ours.end());
    }
    EXPECT_LT(relative_difference(found, expected), tolerance) << name;
  }
}

TEST(DebertaReward, TellsPromptAndAnswerApartBySegmentsWhereItHasThem) {
  const Changed folder(read_json(deberta / "variants.json").at("positions"));
  const RewardModel reward(folder.path());
  ASSERT_TRUE(reward.reads_pairs());
  int n = 0;
  for (const json& one : read_json(deberta / "pairs.json")) {
    if (!one.contains("logits_positions")) continue;
    const std::vector<std::string> answer{one.at("second")};
    EXPECT_NEAR(reward.logits_of_answers(one.at("first"), answer)[0],
                one.at("logits_positions")[0].get<double>(), 1e-5);
    ++n;
  }
  EXPECT_EQ(n, 8);
  const RewardModel decoder(encoder_goldens.parent_path() / "reward/llama");
  EXPECT_FALSE(decoder.reads_pairs());
  const std::vector<std::string> answers{"a"};
  EXPECT_THAT(test::message_of([&] { (void)decoder.logits_of_answers("a", answers); }),
              HasSubstr("it reads no prompt and answer as a pair"));
}

TEST(DebertaConfiguration, RefusesByNameWhatItDoesNotSupport) {
  const auto with = [](const json& changes) {
    const Changed folder(changes);
    return test::message_of([&] { (void)SequenceClassifier(folder.path()); });
  };
  EXPECT_EQ(with(json::object()), "no error");
  EXPECT_THAT(with({{"conv_kernel_size", 4}}), HasSubstr("expected an odd number"));
  EXPECT_THAT(with({{"conv_kernel_size", 5}}),
              AllOf(HasSubstr("conv.conv.weight"), HasSubstr("[32, 32, 5]")));
  EXPECT_THAT(with({{"conv_kernel_size", 3}, {"conv_groups", 2}}), HasSubstr("a convolution in groups"));
  EXPECT_THAT(with({{"conv_kernel_size", 3}, {"conv_act", "mish"}}),
              AllOf(HasSubstr("conv_act"), HasSubstr("mish")));
  EXPECT_THAT(with({{"embedding_size", 16}}), AllOf(HasSubstr("embedding_size"), HasSubstr("expected 32")));
  EXPECT_THAT(with({{"pooler_hidden_size", 8}}), HasSubstr("pooler_hidden_size"));
  EXPECT_THAT(with({{"attention_head_size", 16}}),
              AllOf(HasSubstr("attention_head_size"), HasSubstr("expected 8")));
  EXPECT_THAT(with({{"pos_att_type", "p2p|c2p"}}), AllOf(HasSubstr("p2p"), HasSubstr("supported: c2p, p2c")));
  EXPECT_THAT(with({{"norm_rel_ebd", "batch_norm"}}), HasSubstr("batch_norm"));
  EXPECT_THAT(with({{"pooler_hidden_act", "mish"}}),
              AllOf(HasSubstr("pooler_hidden_act"), HasSubstr("mish")));
  EXPECT_THAT(with({{"position_buckets", 1}}), HasSubstr("1 buckets do not fit"));
  EXPECT_THAT(with({{"position_buckets", 80}}), HasSubstr("80 buckets do not fit distances up to 40"));
  EXPECT_THAT(with({{"position_buckets", 6}}),
              AllOf(HasSubstr("rel_embeddings"), HasSubstr("[12, 32]"), HasSubstr("[16, 32]")));
  EXPECT_THAT(with({{"model_type", "deberta"}}), HasSubstr("deberta-v2"));
}

}  // namespace
}  // namespace twistor::model
