// SPDX-License-Identifier: Apache-2.0
// Potentials of classifiers and encoders: classes and thresholds, values against an independent
// implementation, and what they refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "potential/kinds/classifier.hpp"
#include "potential/kinds/linear_head.hpp"
#include "potential/kinds/similarity.hpp"
#include "support/encoder_golden.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/safetensors_writer.hpp"

namespace twistor::potential {
namespace {

using model::encoder_goldens;
using testing::AllOf;
using testing::DoubleNear;
using testing::HasSubstr;
using testing::Pointwise;

PotentialOptions meaning(const std::string& name) {
  PotentialOptions options;
  options.class_name = name;
  return options;
}

PotentialOptions not_meaning(const std::string& name) {
  PotentialOptions options = meaning(name);
  options.negate = true;
  return options;
}

double log_phi(const PotentialOptions& options, const std::vector<double>& logits,
               bool is_multi_label = false) {
  const std::vector<std::string> labels{"bad", "good", "1"};
  return ClassScore(options, {labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(logits.size())},
                    is_multi_label, "testing")
      .log_phi(logits);
}

TEST(ClassScore, TakesASoftmaxASigmoidOfOneLogitOrOneOfMany) {
  const std::vector<double> z{0.3, -1.0, 2.0};
  const double sum = std::exp(0.3) + std::exp(-1.0) + std::exp(2.0);
  EXPECT_NEAR(log_phi(meaning("good"), z), std::log(std::exp(-1.0) / sum), 1e-14);
  EXPECT_NEAR(log_phi(meaning("2"), z), std::log(std::exp(2.0) / sum), 1e-14);
  EXPECT_NEAR(log_phi(meaning("1"), z), std::log(std::exp(2.0) / sum), 1e-14)
      << "a label goes before a number";
  EXPECT_NEAR(log_phi(not_meaning("good"), z), std::log1p(-std::exp(-1.0) / sum), 1e-14);
  EXPECT_NEAR(log_phi(meaning("good"), z, true), -std::log1p(std::exp(1.0)), 1e-14);
  for (const std::string one : {"bad", "0", ""}) {
    EXPECT_NEAR(log_phi(meaning(one), {-3.0}), -std::log1p(std::exp(3.0)), 1e-14);
    EXPECT_NEAR(log_phi(not_meaning(one), {-3.0}), -std::log1p(std::exp(-3.0)), 1e-14);
  }
}

TEST(Classifier, ReadsPromptAndAnswerAsAPair) {
  PotentialOptions options = meaning("1");
  options.potential = "classifier";
  options.classifier = (encoder_goldens / "bert").string();
  options.scope = "pair";
  const auto scorer = make_text_scorer(options, {});
  std::ifstream file(encoder_goldens / "bert/pairs.json");
  int n = 0;
  for (const nlohmann::json& one : nlohmann::json::parse(file)) {
    if (!one.contains("logits")) continue;
    const auto z = one["logits"].get<std::vector<double>>();
    double sum = 0;
    for (const double logit : z) sum += std::exp(logit);
    const std::vector<std::string> answer{one["second"]};
    EXPECT_NEAR(scorer->log_phi_of_answers(one["first"], answer)[0], z[1] - std::log(sum), 2e-5);
    ++n;
  }
  EXPECT_EQ(n, 8);
}

TEST(ClassScore, IsExactWhereProbabilitiesAreNot) {
  EXPECT_NEAR(log_phi(meaning("good"), {900, 0}), -900, 1e-10);
  EXPECT_NEAR(log_phi(meaning("good"), {-50, 0}), -std::exp(-50), 1e-35);
  EXPECT_NEAR(log_phi(meaning("bad"), {-800}), -800, 1e-10);
}

TEST(ClassScore, ThresholdsAreOnTheLogit) {
  PotentialOptions options = not_meaning("");
  options.rule = "threshold";
  options.threshold = 5;
  options.log_floor = -7;
  options.beta = 2;
  EXPECT_EQ(log_phi(options, {-5.1}), 0) << "an output below -5";
  EXPECT_EQ(log_phi(options, {-4.9}), -14);
}

TEST(ClassScore, IsTheProbabilityOfAnyClassThatIsObserved) {
  const std::vector<double> z{0.3, -1.0, 2.0};
  const ClassScore of_good(meaning("good"), {"bad", "good", "1"}, false, "testing");
  ASSERT_EQ(of_good.n_classes(), 3);
  EXPECT_EQ(of_good.observation(), (std::vector<std::int64_t>{1}));
  double sum = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(of_good.of_class(i).observation(), (std::vector<std::int64_t>{i}));
    sum += std::exp(of_good.of_class(i).log_phi(z));
  }
  EXPECT_NEAR(sum, 1, 1e-14);
  EXPECT_DOUBLE_EQ(of_good.of_class(2).log_phi(z), log_phi(meaning("1"), z));
  // A single label has its absence beside it.
  const ClassScore absent(not_meaning("toxic"), {"toxic"}, false, "testing");
  EXPECT_EQ(absent.n_classes(), 2);
  EXPECT_EQ(absent.observation(), (std::vector<std::int64_t>{1}));
  const std::vector<double> one{0.7};
  EXPECT_NEAR(std::exp(absent.of_class(0).log_phi(one)) + std::exp(absent.of_class(1).log_phi(one)), 1,
              1e-14);
}

TEST(ClassScore, ObservesNoClassWherePhiIsNotItsProbability) {
  const std::vector<std::string> labels{"bad", "good"};
  PotentialOptions power = meaning("good"), threshold = meaning("good");
  power.beta = 2;
  threshold.rule = "threshold";
  for (const PotentialOptions& options : {power, threshold, not_meaning("good")}) {
    EXPECT_EQ(ClassScore(options, labels, false, "testing").n_classes(), 0);
    EXPECT_TRUE(ClassScore(options, labels, false, "testing").observation().empty());
  }
  EXPECT_EQ(ClassScore(meaning("good"), labels, true, "testing").n_classes(), 0)
      << "labels may come together";
}

TEST(ClassScore, RefusesClassesThatAreNot) {
  const auto refusal = [](const std::string& name) {
    try {
      (void)ClassScore(meaning(name), {"bad", "good"}, false, "testing");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::config);
      return error.text();
    }
    return std::string("no error");
  };
  EXPECT_EQ(refusal("1"), "no error");
  EXPECT_THAT(refusal("better"), AllOf(HasSubstr("better"), HasSubstr("bad, good")));
  for (const std::string name : {"", "2", "-1", "1x", "99999999999999999999"})
    EXPECT_THAT(refusal(name), HasSubstr("'" + name + "'"));
}

struct Cases {
  explicit Cases(const std::string& family) {
    using nlohmann::json;
    for (const json& one : json::parse(test::read_file(encoder_goldens / family / "texts.json"))) {
      texts.push_back(one.at("text"));
      logits.push_back(one.at("logits"));
    }
  }
  std::vector<std::string> texts;
  std::vector<std::vector<double>> logits;
};

TEST(Classifier, GivesTheReferencesLogProbabilities) {
  const Cases cases("bert");
  PotentialOptions options = meaning("neutral");
  options.classifier = encoder_goldens / "bert";
  options.beta = 3;
  std::vector<double> expected;
  for (const auto& z : cases.logits)
    expected.push_back(3 * (z[1] - std::log(std::exp(z[0]) + std::exp(z[1]) + std::exp(z[2]))));
  const auto scorer = make_classifier(options, {});
  EXPECT_THAT(scorer->log_phi(cases.texts), Pointwise(DoubleNear(2e-5), expected));
  EXPECT_THAT(scorer->description(), AllOf(HasSubstr("p(neutral)^3"), HasSubstr("BERT")));
}

TEST(Classifier, OneLogitIsAScoreWithASign) {
  const Cases cases("roberta");
  PotentialOptions options = not_meaning("LABEL_0");
  options.classifier = encoder_goldens / "roberta";
  std::vector<double> expected, below;
  for (const auto& z : cases.logits) {
    expected.push_back(-std::log1p(std::exp(z[0])));
    below.push_back(z[0] < -0.22 ? 0 : -9);
  }
  EXPECT_THAT(make_classifier(options, {})->log_phi(cases.texts), Pointwise(DoubleNear(1e-5), expected));
  options.class_name = "";
  options.rule = "threshold";
  options.threshold = 0.22;
  options.log_floor = -9;
  EXPECT_EQ(make_classifier(options, {})->log_phi(cases.texts), below);
  EXPECT_THAT(below, AllOf(testing::Contains(0), testing::Contains(-9))) << "the threshold divides nothing";
}

TEST(Classifier, TextsNeedNotBeUtf8) {
  PotentialOptions options = meaning("0");
  for (const std::string family : {"bert", "roberta", "distilbert"}) {
    options.classifier = encoder_goldens / family;
    const std::vector<std::string> texts{"\xff\xfe", std::string("a\0b", 3), "\xf0\x9f"};
    for (const double value : make_classifier(options, {})->log_phi(texts)) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(Classifier, PrecisionAndFolderAreInTheFingerprint) {
  PotentialOptions options = meaning("0");
  options.classifier = encoder_goldens / "bert";
  const std::string bert = make_classifier(options, {})->fingerprint();
  options.dtype = "bfloat16";
  const std::string narrow = make_classifier(options, {})->fingerprint();
  const test::TemporaryFolder folder;
  std::filesystem::copy(encoder_goldens / "bert", folder.path(), std::filesystem::copy_options::recursive);
  options.dtype = "float32";
  options.classifier = folder.path();
  EXPECT_EQ(make_classifier(options, {})->fingerprint(), bert) << "contents count, not the place";
  std::ofstream(folder.path() / "tokenizer.json", std::ios::app) << "\n";
  const std::string retokenised = make_classifier(options, {})->fingerprint();
  EXPECT_NE(bert, narrow);
  EXPECT_NE(bert, retokenised);
}

TEST(Classifier, SharesTheMemoryThatItIsGiven) {
  PotentialOptions options = meaning("0");
  options.classifier = encoder_goldens / "distilbert";
  std::vector<std::byte> memory;
  int published = 0;
  const TargetContext context{.weight_memory = [&] {
    model::WeightMemory shared;
    shared.allocate = [&](std::size_t bytes) {
      memory.resize(bytes + 64);
      const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
      return memory.data() + (64 - at % 64) % 64;
    };
    shared.publish = [&] { ++published; };
    return shared;
  }};
  const std::vector<std::string> texts{"a good film"};
  EXPECT_EQ(make_classifier(options, context)->log_phi(texts), make_classifier(options, {})->log_phi(texts));
  EXPECT_GT(memory.size(), 10000U);
  EXPECT_EQ(published, 1);
}

TEST(Similarity, IsBetaTimesTheCosine) {
  PotentialOptions options;
  options.encoder = encoder_goldens / "sentence";
  options.text = "a good film";
  options.beta = -2;
  const auto scorer = make_similarity(options, {});
  const std::vector<std::string> texts{"A good film", "the plot is dull"};
  const auto values = scorer->log_phi(texts);
  EXPECT_NEAR(values[0], -2, 1e-6) << "case does not count for this tokenizer";
  EXPECT_GT(values[1], -1.99);
  EXPECT_EQ(scorer->log_phi_bound(), 2);
  options.text = "";
  EXPECT_THROW((void)make_similarity(options, {}), Error);
  options.text = "a";
  options.encoder = "";
  EXPECT_THROW((void)make_similarity(options, {}), Error);
}

TEST(Similarity, ACosineIsThatOfTheVectors) {
  const std::vector<float> a{3, 4}, b{4, 3}, zero{0, 0};
  EXPECT_NEAR(cosine(a, b), 0.96, 1e-15);
  EXPECT_EQ(cosine(a, a), 1);
  EXPECT_EQ(cosine(a, zero), 0);
}

PotentialOptions head_options() {
  PotentialOptions options = meaning("good");
  options.encoder = encoder_goldens / "sentence";
  options.head = encoder_goldens / "sentence/head.safetensors";
  return options;
}

TEST(LinearHead, GivesTheReferencesLogits) {
  const model::EncoderGolden golden("sentence");
  const model::SentenceEncoder encoder(encoder_goldens / "sentence");
  const model::LinearHead head = model::read_linear_head(head_options().head);
  EXPECT_THAT(head.classes, testing::ElementsAre("bad", "good", "so so"));
  EXPECT_EQ(head.notes.at("data"), "random");
  EXPECT_EQ(head.encoder_fingerprint, encoder.space_fingerprint())
      << "the fingerprint is defined by tests/golden/make_encoder_goldens.py too";
  const auto expected = golden.floats("head_logits");
  EXPECT_THAT(head.logits(encoder.embed(golden.texts)), Pointwise(DoubleNear(1e-5), expected));
}

TEST(LinearHead, RefusesAHeadOfAnotherEncoder) {
  const auto refusal_of = [](const PotentialOptions& options) {
    try {
      (void)make_linear_head(options, {});
    } catch (const Error& error) {
      return error.text();
    }
    return std::string("no error");
  };
  PotentialOptions options = head_options();
  EXPECT_EQ(refusal_of(options), "no error");
  options.encoder = encoder_goldens / "bert";
  EXPECT_THAT(refusal_of(options), HasSubstr("was made for another encoder"));
  const test::TemporaryFolder folder;  // other pooling, other vectors
  std::filesystem::copy(encoder_goldens / "sentence", folder.path(),
                        std::filesystem::copy_options::recursive);
  std::filesystem::remove(folder.path() / "modules.json");
  options.encoder = folder.path();
  EXPECT_THAT(refusal_of(options), HasSubstr("was made for another encoder"));
  options = head_options();
  options.head = "";
  EXPECT_THAT(refusal_of(options), HasSubstr("target.head is not set"));
}

TEST(LinearHead, IsWrittenAndReadBack) {
  const test::TemporaryFolder folder;
  model::LinearHead head{{"a", "b \"c\""}, {1, 2, 3, -4, 5.5F, 6}, {0.25F, -1}, "abc", {{"accuracy", "0.5"}}};
  write_linear_head(folder.path() / "head.safetensors", head);
  const model::LinearHead back = model::read_linear_head(folder.path() / "head.safetensors");
  EXPECT_EQ(back.classes, head.classes);
  EXPECT_EQ(back.weight, head.weight);
  EXPECT_EQ(back.bias, head.bias);
  EXPECT_EQ(back.encoder_fingerprint, "abc");
  EXPECT_EQ(back.notes, head.notes);
  EXPECT_THAT(back.logits(std::vector<float>{1, 1, 1}), testing::ElementsAre(6.25, 6.5));
}

TEST(LinearHead, RefusesABiasOfAnotherSize) {
  const test::TemporaryFolder folder;
  const std::vector<float> weight = {1, 2, 3, 4}, bias = {0};
  const std::vector<format::TensorValues> tensors = {{{"weight", {2, 2}}, weight}, {{"bias", {1}}, bias}};
  folder.write("head", format::safetensors_bytes(tensors, {{"classes", R"(["a","b"])"}, {"encoder", "abc"}}));
  EXPECT_THAT(test::message_of([&] { return model::read_linear_head(folder / "head"); }), HasSubstr("bias"));
}

TEST(LinearHead, RefusesDamagedFiles) {
  const auto refusal_of = [](auto change) {
    const test::TemporaryFolder folder;
    model::LinearHead head{{"a", "b"}, {1, 2, 3, 4}, {0, 0}, "abc", {}};
    change(head);
    write_linear_head(folder.path() / "head", head);
    try {
      (void)model::read_linear_head(folder.path() / "head");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return error.text();
    }
    return std::string("no error");
  };
  EXPECT_EQ(refusal_of([](auto&) {}), "no error");
  EXPECT_THAT(refusal_of([](auto& h) { h.weight[1] = NAN; }), HasSubstr("nan"));
  EXPECT_THAT(refusal_of([](auto& h) { h.classes[1] = "a"; }), HasSubstr("classes[1]"));
  EXPECT_THAT(refusal_of([](auto& h) { h.weight.clear(); }), HasSubstr("\"weight\""));
  EXPECT_THROW((void)model::read_linear_head(encoder_goldens / "bert/model.safetensors"), Error)
      << "no metadata of a head";
  EXPECT_THROW((void)model::read_linear_head("/nowhere"), Error);
  // Two names for three rows.
  std::string bytes = test::read_file(encoder_goldens / "sentence/head.safetensors");
  const std::string third = ", \\\"so so\\\"";
  bytes.replace(bytes.find(third), third.size(), third.size(), ' ');
  const test::TemporaryFolder folder;
  try {
    (void)model::read_linear_head(folder.write("head", bytes));
    FAIL() << "read a head with fewer classes than rows";
  } catch (const Error& error) {
    EXPECT_THAT(error.text(), AllOf(HasSubstr("2 classes"), HasSubstr("[3, 32]")));
  }
}

}  // namespace
}  // namespace twistor::potential
