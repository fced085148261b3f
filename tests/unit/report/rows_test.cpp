// SPDX-License-Identifier: Apache-2.0
// Rows of prompts and of grids: what their means count, and what files say of them.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "report/grid_table.hpp"
#include "report/prompt_columns.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/report/columns.hpp"
#include "twistor/report/describe.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Two repeats at lower bounds of that mean; an upper bound of 0 unless all weights have vanished.
estimate::Evaluation evaluation(double lower) {
  estimate::Findings found;
  for (const double shift : {-0.5, 0.5}) {
    estimate::BoundRun run;
    run.smc_lower = run.sis_lower = lower + shift;
    run.smc_upper = run.sis_upper = std::isinf(lower) ? std::nan("") : 0;
    run.ess = {4};
    run.survivors = {4};
    found.repeats.push_back(run);
  }
  found.q = {{-4}, {-6}};
  return estimate::make_evaluation(found, {.is_event = true});
}

PromptRow prompt_row(double lower) {
  PromptRow row{"", "x"};
  row.evaluations = {{"base", evaluation(lower)}};
  return row;
}

// P = e^-1 cosh(0.5) for the first; all weights of the second have vanished. Without it the mean would be
// twice that.
TEST(PromptSummary, CountsPromptsWithoutTheEventAsZero) {
  const double p = std::exp(-1) * std::cosh(0.5);
  const std::string text = prompt_summary({prompt_row(-1), prompt_row(-INFINITY)});
  EXPECT_THAT(text, HasSubstr("base: P(event)"));
  const std::string line = text.substr(text.find("base: P(event)"));
  EXPECT_THAT(line.substr(0, line.find('\n')), HasSubstr(fmt::format(" {:.4f} ", p / 2)));
  EXPECT_THAT(line.substr(0, line.find('\n')), HasSubstr("2 of 2"));
  EXPECT_EQ(probability_or_zero(evaluation(-INFINITY)), 0);
  EXPECT_NEAR(probability_or_zero(evaluation(-1)), p, 1e-12);
}

/// K = 4 and 16, two seeds: gaps 1 and 3, then 0.25 and 0.75.
std::vector<GridRow> grid() {
  std::vector<GridRow> rows;
  for (const auto& [K, seed, lower] :
       {std::tuple{4, 7, -1.0}, std::tuple{4, 9, -3.0}, std::tuple{16, 7, -0.25}, std::tuple{16, 9, -0.75}})
    rows.push_back({K, static_cast<std::uint64_t>(seed), {{"base", evaluation(lower)}}});
  return rows;
}

TEST(GridTable, HasMeansOverSeedsAndTheExponentOfTheGap) {
  const std::string text = grid_table(grid());
  // Student's t for one degree of freedom, 12.7062, times the standard error.
  EXPECT_THAT(text, HasSubstr("-2.0000 ± 12.7062"));
  EXPECT_THAT(text, HasSubstr("-0.5000 ± 3.1766"));
  EXPECT_THAT(text, HasSubstr("means over 2 seeds"));
  EXPECT_THAT(text, HasSubstr("base: the gap goes as K^b, b = -1.0000 ± 0.0000\n"));
  std::vector<GridRow> one_seed = grid();
  std::erase_if(one_seed, [](const GridRow& row) { return row.seed == 9; });
  EXPECT_THAT(grid_table(one_seed), HasSubstr("b = -1.0000\n"));
  EXPECT_EQ(grid_table({}), "");
}

TEST(GridTable, IsInTheSummaryToo) {
  const auto json = nlohmann::json::parse(grid_json(grid()).text());
  EXPECT_EQ(json["seeds"], (nlohmann::json{7, 9}));
  ASSERT_EQ(json["means"].size(), 2u);
  EXPECT_EQ(json["means"][1]["particles"], 16);
  const auto& gap = json["means"][0]["base"]["gap"];
  EXPECT_EQ(gap["mean"], 2);
  EXPECT_EQ(gap["se"], 1);
  EXPECT_EQ(gap["n"], 2);
  EXPECT_NEAR(gap["low"].get<double>(), 2 - 12.7062, 1e-4);
  EXPECT_TRUE(json["means"][0]["base"]["sigma_q"].is_null());
  EXPECT_NEAR(json["gap_slope"]["base"]["mean"].get<double>(), -1, 1e-12);
}

TEST(GridFiles, HaveALineForEachPoint) {
  const test::TemporaryFolder folder;
  const estimate::Evaluation last = evaluation(-1);
  report::Run run;
  run.after = &last;
  run.grid = grid();
  grid_files(folder.path())->finished(run);
  results_file(folder.path() / "results.h5")->finished(run);
  std::ifstream in(folder.path() / "sweep.jsonl");
  std::string line;
  std::vector<nlohmann::json> lines;
  while (std::getline(in, line)) lines.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[2]["particles"], 16);
  EXPECT_EQ(lines[3]["seed"], 9);
  EXPECT_EQ(lines[3]["base"]["log_z"]["smc_lower"]["mean"], -0.75);
  EXPECT_THAT(describe(folder.path() / "sweep.jsonl"), HasSubstr("evaluations at 4 pairs of K and seed"));
  EXPECT_THAT(describe(folder.path() / "sweep.csv"), HasSubstr("evaluations at 4 pairs of K and seed"));
  const store::Results results = store::load_results(folder.path() / "results.h5");
  const auto column = [&](const char* name) {
    return std::get<Array<double>>(results.arrays.at(std::string("sweep/") + name)).values;
  };
  EXPECT_THAT(column("particles"), ElementsAre(4, 4, 16, 16));
  EXPECT_THAT(column("seed"), ElementsAre(7, 9, 7, 9));
  EXPECT_THAT(column("base/log_z/smc_lower/mean"), ElementsAre(-1, -3, -0.25, -0.75));
  keep_earlier_results(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "sweep.1.csv"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "sweep.csv"));
}

TEST(ColumnsOfARun, FindTheirPlaces) {
  std::vector<NamedEvaluation> all{{"base", evaluation(-4)}, {"a", evaluation(-1)}, {"b", evaluation(-2)}};
  Columns columns = columns_of(all, 2, 0);
  report::Run run;
  arrange(columns, run);
  EXPECT_EQ((*run.base)["log_z.smc_lower"].mean, -4);
  EXPECT_EQ((*run.after)["log_z.smc_lower"].mean, -1);
  EXPECT_EQ(run.after_name, "a");
  ASSERT_EQ(run.checkpoints.size(), 1u);
  EXPECT_EQ(run.checkpoints[0].name, "b");
  EXPECT_EQ(run.checkpoints[0].evaluation.log_z.value, run.after->log_z.value) << "one log Z for all";
  EXPECT_EQ(run.base->log_z.value, -0.5) << "of the tightest sandwich";
  EXPECT_FALSE(run.is_after_policy);

  all.resize(1);
  Columns alone = columns_of(all, 0, 0);
  report::Run of_base;
  arrange(alone, of_base);
  EXPECT_EQ(of_base.base, nullptr);
  EXPECT_EQ((*of_base.after)["log_z.smc_lower"].mean, -4);
}

TEST(MeansOfRows, AreOverTheSeedsOfTheLastK) {
  const std::vector<NamedEvaluation> means = means_of(grid());
  ASSERT_EQ(means.size(), 1u);
  EXPECT_EQ(means[0].name, "base");
  EXPECT_EQ(means[0].evaluation["log_z.smc_lower"].mean, -0.5);
  EXPECT_EQ(means[0].evaluation.seeds, 2);
}

}  // namespace
}  // namespace twistor::report
