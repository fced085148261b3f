// SPDX-License-Identifier: Apache-2.0
// Sinks: what each of them writes of the same run, and that a new kind need say only what it is for.
#include "twistor/report/sink.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "support/temporary_folder.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Without exact samples, so that some estimates could not be made.
estimate::Evaluation evaluation(std::int64_t update) {
  estimate::Findings found;
  const double unknown = std::nan("");
  found.repeats = {{-3, unknown, -2, unknown, unknown, 4, {8, 4}, 3, {8, 6}},
                   {-5, unknown, -2.5, unknown, unknown, 6, {6, 2}, 5, {8, 7}}};
  found.q = {{-2, -INFINITY, 1}, {-3, 1, 2}};
  estimate::Evaluation e = estimate::make_evaluation(found, {.is_event = true});
  e.update = update;
  e.seconds = 1.25;
  return e;
}

class SinkFiles : public testing::Test {
 protected:
  const test::TemporaryFolder folder;
  const estimate::Evaluation before = evaluation(0), after = evaluation(9);
  [[nodiscard]] report::Run run() const {
    report::Run out;
    out.before = &before;
    out.after = &after;
    out.counters.sums["resamplings"] = 3;
    out.counters.maxima["live_blocks_peak"] = 7;
    out.counters.seconds["forward_s"] = 0.5;
    out.config_text = "[smc]\nparticles = 8\n";
    out.config_json = R"({"smc":{"particles":8}})";
    out.versions = {{"twistor", "x"}};
    out.particles = 8;
    out.n_ranks = 2;
    out.job = "17";
    out.hosts = {{"n1", 1}, {"n2", 1}};
    out.seconds = 10;
    out.folder = "runs/x/";
    return out;
  }
};

TEST_F(SinkFiles, SummaryHasEveryEstimateAndNullForThoseThatCouldNotBeMade) {
  summary_file(folder.path() / "summary.json")->finished(run());
  const auto json = nlohmann::json::parse(text_of(folder.path() / "summary.json"));
  EXPECT_EQ(json["log_z"]["smc_lower"], (nlohmann::json{{"mean", -2.25}, {"se", 0.25}, {"n", 2}}));
  EXPECT_TRUE(json["log_z"]["smc_upper"].is_null());
  EXPECT_TRUE(json["log_z"]["exact"].is_null());
  EXPECT_TRUE(json["log_z"]["genealogical_variance"].is_null());
  EXPECT_EQ(json["log_z"]["sample_variance"], 0.125);
  EXPECT_EQ(json["log_z"]["estimate"]["method"], "mean of Z_hat");
  EXPECT_EQ(json["log_z"]["estimate"]["low"], -2.25);
  EXPECT_TRUE(json["log_z"]["estimate"]["high"].is_null());
  EXPECT_EQ(json["kl"]["q_sigma"]["note"], "lower bound");
  EXPECT_EQ(json["kl"]["q_sigma"]["low"], 0.25);
  EXPECT_EQ(json["genealogy"], (nlohmann::json{{"founders", 4}, {"unique_ancestors", {8, 6.5}}}));
  EXPECT_EQ(json["log_q_error"], (nlohmann::json{{"largest", 0}, {"mean", 0}}));
  EXPECT_EQ(json["probability"]["level"], 0.95);
  EXPECT_LT(json["probability"]["low"], json["probability"]["value"]);
  EXPECT_EQ(text_of(folder.path() / "summary.json").find("nan"), std::string::npos);
  EXPECT_EQ(json["proposal"]["log_phi"]["mean"], "-inf");
  EXPECT_EQ(json["ess"], (nlohmann::json{{"final", 5}, {"per_step", {7, 3}}}));
  EXPECT_EQ(json["before"]["kl"], json["kl"]);
  EXPECT_EQ(json["updates"], 9);
  EXPECT_EQ(json["twist"], "after 9 updates");
  EXPECT_EQ(json["counters"],
            (nlohmann::json{{"resamplings", 3}, {"live_blocks_peak", 7}, {"forward_s", 0.5}}));
  EXPECT_EQ(json["config"]["smc"]["particles"], 8);
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_EQ(json["job"], "17");
  EXPECT_EQ(json["hosts"], (nlohmann::json{{"n1", 1}, {"n2", 1}}));
  EXPECT_FALSE(json.contains("base"));
}

TEST_F(SinkFiles, ResultsHaveRunsNumbersAndCounters) {
  results_file(folder.path() / "results.h5")->finished(run());
  const store::Results results = store::load_results(folder.path() / "results.h5");
  std::vector<std::string> arrays;
  for (const auto& [name, array] : results.arrays) arrays.push_back(name);
  std::vector<std::string> expected;
  for (const std::string when : {"after/", "before/"})
    for (const char* name : {"ess_per_step", "log_z_method", "q/log_future", "q/log_phi", "q/log_psi",
                             "q/log_weight", "sis_lower", "smc_lower", "unique_ancestors"})
      expected.push_back(when + name);
  EXPECT_EQ(arrays, expected);
  EXPECT_EQ(std::get<std::string>(results.arrays.at("after/log_z_method")), "mean of Z_hat");
  for (const auto& [name, number] : results.numbers) EXPECT_FALSE(std::isnan(number)) << name;
  EXPECT_EQ(std::get<Array<double>>(results.arrays.at("after/smc_lower")).values,
            (std::vector<double>{-2, -2.5}));
  EXPECT_EQ(results.numbers.at("after.log_z.smc_lower.mean"), -2.25);
  EXPECT_EQ(results.numbers.at("before.update"), 0);
  EXPECT_EQ(results.numbers.at("forward_s"), 0.5);
  EXPECT_EQ(results.counters,
            (std::map<std::string, std::int64_t>{{"live_blocks_peak", 7}, {"resamplings", 3}}));
  EXPECT_EQ(results.config_text, run().config_text);
}

TEST_F(SinkFiles, ResultsHaveTheNumbersOfExactSamplesAndWhichTheyAre) {
  estimate::Evaluation of_exact = after;
  of_exact.g = {-1, -0.5};
  of_exact.exact_digest = "abc";
  report::Run with = run();
  with.after = &of_exact;
  results_file(folder.path() / "results.h5")->finished(with);
  const store::Results results = store::load_results(folder.path() / "results.h5");
  EXPECT_EQ(std::get<Array<double>>(results.arrays.at("after/sigma/log_weight")).values, of_exact.g);
  EXPECT_EQ(std::get<std::string>(results.arrays.at("after/sigma/samples")), "abc");
  EXPECT_FALSE(results.arrays.contains("before/sigma/log_weight")) << "there were none";
}

/// Two particles of two tokens; the second one follows the first after one.
estimate::SweepTrace tiny_trace() {
  estimate::SweepTrace out;
  out.K = out.T = 2;
  out.tokens = {7, 8, 7, 9};
  out.log_psi = {0.5, 1, 0.5, 2};
  out.log_increment = {0.25, -1, 0.25, -2};
  out.log_phi = {0, -3};
  out.log_weight = {std::log(0.75), std::log(0.25)};
  out.resamplings = {{1, {0, 0}}};
  return out;
}

TEST_F(SinkFiles, ResultsHaveTheSweepToLookAt) {
  estimate::Evaluation traced = after;
  traced.trace = tiny_trace();
  report::Run run = this->run();
  run.after = &traced;
  // As tokenizers that take the blank in front of the first word away; token 9 is no text of its own.
  run.decode = [](std::span<const std::int64_t> ids) {
    std::string text;
    for (const std::int64_t id : ids)
      text += id == 9 ? "\xC3" : (text.empty() ? "w" : " w") + std::to_string(id);
    return text;
  };
  results_file(folder.path() / "results.h5")->finished(run);
  const store::Results results = store::load_results(folder.path() / "results.h5");
  const auto ids = [&](const char* name) {
    return std::get<Array<std::int64_t>>(results.arrays.at(std::string("after/sweep/") + name));
  };
  EXPECT_EQ(ids("tokens").shape, (std::vector<std::int64_t>{2, 2}));
  EXPECT_THAT(ids("resampled_at").values, ElementsAre(1));
  EXPECT_THAT(ids("ancestors").values, ElementsAre(0, 0));
  EXPECT_EQ(std::get<std::string>(results.arrays.at("after/sweep/pieces")),
            "[\"w7\",\" w8\",\"w7\",\"\xEF\xBF\xBD\"]");
  run.decode = nullptr;
  results_file(folder.path() / "results.h5")->finished(run);
  EXPECT_FALSE(store::load_results(folder.path() / "results.h5").arrays.contains("after/sweep/pieces"));
}

TEST_F(SinkFiles, MetricsHaveALineForEachUpdateAndEvaluation) {
  const auto sink = json_lines(folder.path() / "metrics.jsonl");
  sink->update({.update = 1,
                .loss = 0.5,
                .log_z_hat = -2,
                .numbers = {{"negative_ess", 6}},
                .is_skipped = false,
                .seconds = 3});
  sink->evaluation(after);
  sink->finished(run());
  const std::string text = text_of(folder.path() / "metrics.jsonl");
  EXPECT_THAT(
      text, HasSubstr(R"({"update":1,"loss":0.5,"log_z_hat":-2,"negative_ess":6,"skipped":false,"seconds":3})"
                      "\n"));
  EXPECT_THAT(text, HasSubstr(R"({"update":9,"event":"evaluation","evaluation.ess.0":7)"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
}

TEST_F(SinkFiles, TheTableShowsEvaluationsSideBySide) {
  testing::internal::CaptureStdout();
  console_table()->finished(run());
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, HasSubstr("before learning   after 9 updates\n"));
  EXPECT_THAT(text, HasSubstr("log Z, SMC lower bound  -2.2500 ± 0.2500  -2.2500 ± 0.2500\n"));
  EXPECT_THAT(text, HasSubstr("log Z, SMC upper bound                 -                 -\n"));
  EXPECT_THAT(text, HasSubstr("≥ 0.2500"));
  EXPECT_THAT(text, HasSubstr("log Z, the same for all: mean of Z_hat\n"));
  EXPECT_THAT(text, HasSubstr("certain at 95 %: log Z >= -4.0944\n"));
  EXPECT_THAT(text, HasSubstr("P(event) = 0.109, 95 % interval "));
  EXPECT_THAT(text, HasSubstr(", from 2 runs of 8 particles\n"));
  EXPECT_LT(text.find("SMC lower bound"), text.find("SIS lower bound")) << "by rows, not by names";
  EXPECT_THAT(text, HasSubstr("5.0 of 8"));
  EXPECT_THAT(text, HasSubstr("2 rank(s), 10.0 s in all. Files: runs/x/; report.html is to look at\n"));
  EXPECT_EQ(text.find("symmetrised"), std::string::npos);
}

TEST_F(SinkFiles, EarlierResultsGetTheNextFreeNumber) {
  for (const char* name : {"summary.json", "results.h5"}) std::ofstream(folder.path() / name) << name;
  std::ofstream(folder.path() / "results.1.h5") << "older";
  keep_earlier_results(folder.path());
  EXPECT_EQ(text_of(folder.path() / "summary.2.json"), "summary.json");
  EXPECT_EQ(text_of(folder.path() / "results.2.h5"), "results.h5");
  EXPECT_EQ(text_of(folder.path() / "results.1.h5"), "older");
}

TEST(Sinks, TellAllOfTheirPartsInOrder) {
  struct Listener final : Sink {
    Listener(char given, std::string& log) : name(given), heard(log) {}
    void update(const Update&) override { heard += name; }
    char name;
    std::string& heard;
  };
  std::string heard;
  Sinks sinks;
  sinks.update({});
  for (const char name : {'a', 'b'}) sinks.add(std::make_unique<Listener>(name, heard));
  sinks.update({});
  sinks.evaluation({});  // nobody listens
  EXPECT_EQ(heard, "ab");
}

}  // namespace
}  // namespace twistor::report
