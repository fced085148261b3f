// SPDX-License-Identifier: Apache-2.0
// Rows of `twistor sample`: weights, repeats, the best ones, and what the lines hold.
#include "twistor/report/sample_file.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::report {
namespace {

using estimate::DrawFrom;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<estimate::WeightedSequence> sequences() {
  return {{0, 0, {1, 2}, -1, -2, -3, std::log(0.1)},
          {0, 1, {1, 3}, -1, -2, -1, std::log(0.3)},
          {1, 0, {1, 2}, -1, -2, -3, std::log(0.6)},
          {1, 1, {4, 4}, -1, -2, log_zero, log_zero}};
}
const std::vector<std::string> texts = {"a b", "a c", "a b", "d d"};

std::vector<double> weights(const std::vector<SampleRow>& rows) {
  std::vector<double> out;
  for (const SampleRow& row : rows) out.push_back(row.weight);
  return out;
}

TEST(SampleRows, DrawsCountAlikeAndParticlesByTheirWeights) {
  EXPECT_THAT(weights(sample_rows(sequences(), texts, DrawFrom::draws)), ElementsAre(0.25, 0.25, 0.25, 0.25));
  EXPECT_THAT(weights(sample_rows(sequences(), texts, DrawFrom::population)),
              ElementsAre(DoubleNear(0.1, 1e-15), DoubleNear(0.3, 1e-15), DoubleNear(0.6, 1e-15), 0.0));
  std::vector<estimate::WeightedSequence> dead = sequences();
  for (auto& s : dead) s.log_weight = log_zero;
  EXPECT_THAT(weights(sample_rows(dead, texts, DrawFrom::population)), ElementsAre(0, 0, 0, 0));
}

TEST(SampleRows, RepeatsAreMergedByTextOrElseByTokens) {
  for (const bool has_text : {true, false}) {
    const auto rows = merge_repeats(
        sample_rows(sequences(), has_text ? texts : std::vector<std::string>{}, DrawFrom::population));
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_THAT(weights(rows), ElementsAre(DoubleNear(0.7, 1e-15), DoubleNear(0.3, 1e-15), 0.0));
    EXPECT_EQ(rows[0].count, 2);
    EXPECT_EQ(rows[1].count, 1);
    EXPECT_NEAR(rows[0].sequence.log_weight, std::log(0.7), 1e-12);
  }
  // Two spellings of one text are one text.
  std::vector<estimate::WeightedSequence> spelled = sequences();
  spelled[2].tokens = {9, 9};
  EXPECT_EQ(merge_repeats(sample_rows(spelled, texts, DrawFrom::draws)).size(), 3u);
  EXPECT_EQ(merge_repeats(sample_rows(spelled, {}, DrawFrom::draws)).size(), 4u);
}

TEST(SampleRows, TheBestAreThoseOfLargestPhiOrWeight) {
  const auto ids = [](const std::vector<SampleRow>& rows) {
    std::vector<std::int64_t> out;
    for (const SampleRow& row : rows) out.push_back(2 * row.sequence.population + row.sequence.id);
    return out;
  };
  const auto draws = sample_rows(sequences(), texts, DrawFrom::draws);
  EXPECT_THAT(ids(best_rows(draws, 2, DrawFrom::draws)), ElementsAre(1, 0));
  EXPECT_THAT(ids(best_rows(draws, 9, DrawFrom::draws)), ElementsAre(1, 0, 2, 3));
  EXPECT_THAT(ids(best_rows(draws, 3, DrawFrom::population)), ElementsAre(2, 1, 0));
}

TEST(SampleFile, LinesHoldEveryNumberToTheLastBit) {
  const auto rows = sample_rows(sequences(), texts, DrawFrom::population);
  const std::string lines = to_jsonl(rows, {{7, 8}, "x \xff", true});
  const std::string second = lines.substr(lines.find('\n') + 1);
  const auto row = nlohmann::json::parse(second.substr(0, second.find('\n')));
  EXPECT_EQ(row["prompt"], "x \xEF\xBF\xBD");
  EXPECT_EQ(row["text"], "a c");
  EXPECT_EQ(row["ids"], nlohmann::json({1, 3}));
  EXPECT_EQ(row["log_weight"].get<double>(), std::log(0.3));
  EXPECT_EQ(row["count"], 1);
  EXPECT_THAT(lines, HasSubstr(R"("log_phi":"-inf")"));
  const std::string bare = to_jsonl(rows, {{7, 8}, std::nullopt, false});
  EXPECT_THAT(bare, HasSubstr(R"({"prompt":[7,8],"ids":[1,2],)"));
  EXPECT_THAT(bare, testing::Not(HasSubstr("count")));
}

TEST(SampleFile, IsReadBack) {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "samples.jsonl";
  const auto put = [&](const std::string& text) { std::ofstream(file) << text; };
  put(to_jsonl(sample_rows(sequences(), texts, DrawFrom::population), {{7, 8}, "x", false}));
  const ReadSamples read = read_samples(file);
  EXPECT_THAT(read.tokens, ElementsAre(1, 2, 1, 3, 1, 2, 4, 4));
  EXPECT_THAT(read.log_phi, ElementsAre(-3, -1, -3, log_zero));
  // Two populations: Z_hat is the mean of their sums.
  EXPECT_THAT(read.log_weight,
              ElementsAre(DoubleNear(std::log(0.05), 1e-12), DoubleNear(std::log(0.15), 1e-12),
                          DoubleNear(std::log(0.3), 1e-12), log_zero));
  const auto refusal = [&](const std::string& text) {
    put(text);
    return test::message_of([&] { (void)read_samples(file); });
  };
  const std::string line = R"({"ids":[1,2],"log_phi":0,"log_weight":0,"population":0})"
                           "\n";
  EXPECT_EQ(refusal(line), "no error");
  EXPECT_THAT(refusal(""), HasSubstr("there is no sample in it"));
  EXPECT_THAT(refusal(line + "ids,weight\n"), HasSubstr("line 2"));
  EXPECT_THAT(refusal(line + R"({"ids":[1],"log_phi":0,"log_weight":0,"population":0})"),
              HasSubstr("expected 2 tokens, as before"));
  EXPECT_THAT(refusal(R"({"ids":[-1],"log_phi":0,"log_weight":0,"population":0})"), HasSubstr("ids[0]"));
  EXPECT_THAT(refusal(R"({"ids":[1],"log_phi":0,"population":0})"), HasSubstr("log_weight"));
  EXPECT_THAT(test::message_of([&] { (void)read_samples(folder.path() / "none"); }),
              HasSubstr("can be read"));
}

TEST(SampleFile, CsvHasTheSameColumns) {
  auto rows = sample_rows(sequences(), texts, DrawFrom::draws);
  rows.resize(1);
  rows[0].text = "say \"a,\nb\"";
  EXPECT_EQ(to_csv(rows, {{7, 8}, "p", false}),
            "prompt,text,ids,log_phi,log_p0,log_q,log_weight,weight,population,id\n"
            "p,\"say \"\"a,\nb\"\"\",1 2,-3,-1,-2,-2.3025850929940455,0.25,0,0\n");
  EXPECT_EQ(to_csv(rows, {{7, 8}, std::nullopt, true}),
            "prompt,ids,log_phi,log_p0,log_q,log_weight,weight,count,population,id\n"
            "7 8,1 2,-3,-1,-2,-2.3025850929940455,0.25,1,0,0\n");
}

}  // namespace
}  // namespace twistor::report
