// SPDX-License-Identifier: Apache-2.0
// Runs side by side: who shares a row, one log Z, intervals over seeds, and the forms of the table.
#include "twistor/report/compare.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <span>
#include <sstream>
#include <string>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/store/results.hpp"

namespace twistor::report {
namespace {

using testing::HasSubstr;

RunSummary run_of(const std::string& objective, int seed, double log_z, double f_q, double g_q) {
  RunSummary run;
  run.folder = objective + "." + std::to_string(seed);
  run.config = {{"train.objective", objective}, {"run.seed", std::to_string(seed)},
                {"run.output", run.folder},     {"target.potential", "contains"},
                {"model.path", "models/tiny"},  {"exact.path", run.folder}};
  run.log_z = log_z;
  run.f_q = {f_q, 0.1, 100};
  run.g_q = {g_q, 0.2, 100};
  run.lower = {log_z - 0.5, 0.1, 10};
  return run;
}

TEST(Compare, RunsThatDifferInSeedsShareARow) {
  const std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("dpg", 1, -6.2, -6.5, -6.0),
                                     run_of("ctl", 2, -6.1, -7.4, -5.1)};
  const std::vector<ComparedRow> rows = compare(runs);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].label, "ctl");
  EXPECT_EQ(rows[0].n_runs, 2);
  // The median of -6.0, -6.2 and -6.1. Student's t with one degree of freedom: 12.706.
  EXPECT_DOUBLE_EQ(rows[0].log_z, -6.1);
  EXPECT_NEAR(rows[0].kl_q_sigma.mean, -6.1 + 7.2, 1e-12);
  EXPECT_NEAR(rows[0].kl_q_sigma.half_width, 12.7062 * 0.2, 1e-4);
  EXPECT_NEAR(rows[0].kl_sigma_q.mean, -5.3 + 6.1, 1e-12);
  // A single run has the interval of its own standard error.
  EXPECT_EQ(rows[1].n_runs, 1);
  EXPECT_NEAR(rows[1].kl_q_sigma.mean, 0.4, 1e-12);
  EXPECT_NEAR(rows[1].kl_q_sigma.half_width, 1.95996 * 0.1, 1e-5);
  EXPECT_TRUE(std::isnan(rows[1].upper.mean)) << "nobody knows it";
}

TEST(Compare, AnExactLogZCountsAlone) {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("ctl", 2, -6.5, -7.0, -5.5)};
  runs[1].is_log_z_exact = true;
  EXPECT_EQ(compare(runs)[0].log_z, -6.5);
}

TEST(Compare, TargetsKeepTheirOwnLogZ) {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("ctl", 1, -3.0, -7.0, -5.5)};
  runs[1].config["target.potential"] = "regex";
  const std::vector<ComparedRow> rows = compare(runs);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].label, "contains");
  EXPECT_EQ(rows[0].log_z, -6.0);
  EXPECT_EQ(rows[1].log_z, -3.0);
}

TEST(Compare, LabelsSayWhatDiffers) {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("dpg", 1, -6.0, -7.0, -5.5)};
  runs[1].config["train.decay"] = "none";  // the other file is older than the key
  EXPECT_EQ(compare(runs)[1].label, "dpg");
  runs[0].config["twist.form"] = "linear";
  runs[1].config["twist.form"] = "mlp";
  EXPECT_EQ(compare(runs)[0].label, "objective = ctl, form = linear");
  EXPECT_EQ(compare(runs)[1].label, "objective = dpg, form = mlp");
  EXPECT_EQ(compare(runs, "train.objective")[1].label, "dpg");
  EXPECT_EQ(compare(std::span(runs).first(1))[0].label, "all runs");
}

TEST(Compare, RefusesRowsOfUnequals) {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("ctl", 2, -6.0, -7.0, -5.5)};
  runs[0].config["train.batch"] = "32";
  runs[1].config["train.batch"] = "64";
  EXPECT_EQ(compare(runs).size(), 2U);
  const auto error = test::error_of([&] { (void)compare(runs, "train.objective"); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_THAT(error.what(), HasSubstr("ctl.1 and ctl.2 would share a row, and differ in train.batch"));
  EXPECT_THAT(test::error_of([&] { (void)compare(runs, "train.losses"); }).what(),
              HasSubstr("have no such key"));
}

TEST(Compare, PrintsTables) {
  const std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5),
                                     run_of("dpg", 1, -6.0, -6.25, -5.75)};
  const std::vector<ComparedRow> rows = compare(runs);
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "beside.csv";
  std::ofstream(file) << "# who measured it\nlabel,published\nctl,1.11 ± 0.05\n";
  const BesideColumns beside = read_beside(file);
  EXPECT_THAT(to_text(rows, CompareFormat::text, beside), HasSubstr("published"));
  const std::string markdown = to_text(rows, CompareFormat::markdown, beside);
  EXPECT_THAT(markdown, HasSubstr("| ctl | 1 | 1.0000 ± 0.1960 | 0.5000 ± 0.3920 |"));
  EXPECT_THAT(markdown, HasSubstr("| 1.11 ± 0.05 |"));
  EXPECT_THAT(markdown, HasSubstr("KL(q \\|\\| sigma)"));
  EXPECT_THAT(to_text(rows, CompareFormat::csv, beside), HasSubstr("\ndpg,1,-6,0.25,"));
  EXPECT_THAT(to_text(rows, CompareFormat::json), HasSubstr("\"smc_upper\": {\n      \"mean\": null"));
  write_comparison(folder.path() / "table.h5", rows);
  const store::Results results = store::load_results(folder.path() / "table.h5");
  EXPECT_EQ(std::get<std::string>(results.arrays.at("label")), "ctl\ndpg\n");
  EXPECT_EQ(std::get<Array<double>>(results.arrays.at("kl_q_sigma.mean")).values, (std::vector{1.0, 0.25}));
}

// Whatever the numbers: a terminal has 120 columns, and the names of rows stand in each part.
TEST(Compare, TablesFitTerminals) {
  ComparedRow row;
  row.label = "all runs";
  row.n_runs = 1;
  for (OverRuns* const x :
       {&row.kl_q_sigma, &row.kl_sigma_q, &row.lower, &row.upper, &row.log_phi, &row.kl_q_p0}) {
    x->mean = -1234.5678;
    x->half_width = 1234.5678;
  }
  const std::string text = to_text(std::span(&row, 1), CompareFormat::text);
  std::size_t widest = 0, n_labels = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    n_labels += line.starts_with("all runs") ? 1 : 0;
    widest = std::max(widest, line.size() - static_cast<std::size_t>(std::ranges::count(line, '\xC2')));
  }
  EXPECT_LE(widest, 120U);
  EXPECT_EQ(n_labels, 2U);
  for (const char* const title : {"KL(q || sigma)", "upper bound", "KL(q || p0)"})
    EXPECT_THAT(text, HasSubstr(title));
}

TEST(ReadBeside, RefusesRaggedLines) {
  const test::TemporaryFolder folder;
  const auto file = folder.path() / "beside.csv";
  std::ofstream(file) << "label,a,b\nctl,1\n";
  EXPECT_THAT(test::error_of([&] { (void)read_beside(file); }).what(),
              HasSubstr("the row 'ctl' has 1 cells"));
  EXPECT_EQ(test::error_of([&] { (void)read_beside(folder.path() / "none.csv"); }).kind(),
            ErrorKind::no_input);
}

TEST(ReadSummary, SaysWhatIsWrong) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(test::error_of([&] { (void)read_summary(folder.path()); }).kind(), ErrorKind::no_input);
  std::ofstream(folder.path() / "summary.json") << "{\"log_z\": {}}";
  const auto error = test::error_of([&] { (void)read_summary(folder.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_THAT(error.what(), HasSubstr("it is no summary of a run"));
}

}  // namespace
}  // namespace twistor::report
