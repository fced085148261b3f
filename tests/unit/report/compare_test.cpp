// SPDX-License-Identifier: Apache-2.0
// Runs side by side: who shares a row, one log Z, intervals over seeds, and the forms of the table.
#include "twistor/report/compare.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <tuple>

#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/log_space.hpp"
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
  EXPECT_THAT(compare(runs)[0].missing_keys, testing::ElementsAre("train.decay"));
  EXPECT_TRUE(compare(runs)[1].missing_keys.empty());
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

TEST(Compare, DifferencesArePairedWhereSeedsAreShared) {
  // What seeds give both runs, 3 nats up or down, is gone from the difference: -1 and -1.5 by seed.
  const std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -10.0, -5.5), run_of("ctl", 2, -6.0, -13.0, -5.5),
                                     run_of("ctl", 3, -6.0, -1.0, -5.5), run_of("dpg", 2, -6.0, -12.0, -5.0),
                                     run_of("dpg", 1, -6.0, -8.5, -5.0)};
  const std::vector<ComparedRow> rows = compare(runs);
  EXPECT_TRUE(std::isnan(rows[0].difference.kl_q_sigma.mean)) << "of the first from itself";
  EXPECT_EQ(rows[1].n_pairs, 2);
  EXPECT_NEAR(rows[1].difference.kl_q_sigma.mean, -1.25, 1e-12);
  EXPECT_NEAR(rows[1].difference.kl_q_sigma.half_width, 12.7062 * 0.25, 1e-4);
  EXPECT_NEAR(rows[1].difference.kl_sigma_q.mean, 0.5, 1e-12);
  EXPECT_NEAR(rows[1].difference.kl_sigma_q.half_width, 0, 1e-12);
  EXPECT_TRUE(std::isnan(rows[1].difference.upper.mean)) << "nobody knows it";
}

TEST(Compare, DifferencesOfOtherSeedsAreThoseOfIndependentRuns) {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.5), run_of("ctl", 2, -6.0, -8.0, -5.5),
                               run_of("dpg", 3, -6.0, -6.0, -5.5), run_of("dpg", 4, -6.0, -6.4, -5.5)};
  std::vector<ComparedRow> rows = compare(runs);
  EXPECT_EQ(rows[1].n_pairs, 0);
  EXPECT_NEAR(rows[1].difference.kl_q_sigma.mean, -1.3, 1e-12);
  // Variances of the means 0.25 and 0.04; Welch's degrees of freedom 0.29^2 / (0.25^2 + 0.04^2) = 1.31201;
  // scipy.stats.t.ppf(0.975, 1.3120125) = 7.385598.
  EXPECT_NEAR(rows[1].difference.kl_q_sigma.half_width, 7.385598 * std::sqrt(0.29), 1e-5);
  rows = compare(std::vector{runs[0], runs[2]});  // one run each: their own errors
  EXPECT_NEAR(rows[1].difference.kl_q_sigma.half_width, 1.95996 * std::sqrt(0.02), 1e-5);
  runs[2].config["target.potential"] = runs[3].config["target.potential"] = "regex";
  EXPECT_TRUE(std::isnan(compare(runs)[1].difference.kl_q_sigma.mean)) << "another target";
}

/// Single runs whose log p0 phi / q by exact sample are known.
std::vector<RunSummary> runs_with_samples() {
  std::vector<RunSummary> runs{run_of("ctl", 1, -6.0, -7.0, -5.0), run_of("dpg", 2, -6.0, -6.5, -4.5)};
  runs[0].g = {-9, -5, -1, -5};
  runs[1].g = {-8.5, -4.75, -0.5, -4.25};
  runs[0].exact_digest = runs[1].exact_digest = "abc";
  return runs;
}

TEST(Compare, SingleRunsArePairedByExactSamplesThatBothMeasuredWith) {
  std::vector<RunSummary> runs = runs_with_samples();
  const ComparedRow row = compare(runs)[1];
  EXPECT_EQ(row.n_pairs, 0);
  EXPECT_EQ(row.n_shared_samples, 4);
  // Differences 0.5, 0.25, 0.5, 0.75: variance 0.125 / 3; Student's t with three degrees of freedom 3.18245.
  EXPECT_NEAR(row.difference.kl_sigma_q.mean, 0.5, 1e-12);
  EXPECT_NEAR(row.difference.kl_sigma_q.half_width, 3.18245 * std::sqrt(0.125 / 12), 1e-5);
  EXPECT_NEAR(row.difference.kl_q_sigma.half_width, 1.95996 * std::sqrt(0.02), 1e-5) << "samples of q differ";
  EXPECT_THAT(notes_of(compare(runs)), testing::ElementsAre(HasSubstr("is paired by 4 exact samples")));

  runs[1].exact_digest = "abd";
  EXPECT_NEAR(compare(runs)[1].difference.kl_sigma_q.half_width, 1.95996 * std::sqrt(0.08), 1e-5);
  EXPECT_THAT(notes_of(compare(runs)), testing::ElementsAre(HasSubstr("with different exact samples")));
  runs[1].g.clear();
  EXPECT_THAT(notes_of(compare(runs)),
              testing::ElementsAre(HasSubstr("does not have the numbers by sample")));
  runs = runs_with_samples();
  runs[1].g[2] = -log_zero;
  EXPECT_THAT(notes_of(compare(runs)), testing::ElementsAre(HasSubstr("gives no probability to an exact")));
  EXPECT_EQ(compare(runs)[1].n_shared_samples, 0);
  runs[0].g_q.se = runs[1].g_q.se = 0;  // enumerated
  EXPECT_TRUE(notes_of(compare(runs)).empty());
  EXPECT_EQ(compare(runs)[1].difference.kl_sigma_q.half_width, 0);
}

TEST(Compare, NamesKeysThatOnlySomeRunsKnow) {
  std::vector<RunSummary> runs = runs_with_samples();
  runs[1].exact_digest.clear(), runs[1].g.clear();
  runs[0].g_q = {};
  runs[0].config["train.decay"] = "cosine";
  runs[0].config["target.plugin"] = "";
  runs[0].config["sample.count"] = "5";  // of no matter
  const std::vector<ComparedRow> rows = compare(runs);
  EXPECT_THAT(rows[1].missing_keys, testing::ElementsAre("target.plugin", "train.decay"));
  EXPECT_EQ(rows[1].log_z, -6.0) << "one target";
  EXPECT_FALSE(std::isnan(rows[1].difference.kl_q_sigma.mean)) << "one target";
  for (const CompareFormat format :
       {CompareFormat::text, CompareFormat::markdown, CompareFormat::latex, CompareFormat::html})
    EXPECT_THAT(to_text(rows, format), HasSubstr("train.decay is not known to runs of ")) << name_of(format);
  EXPECT_THAT(to_text(rows, CompareFormat::markdown), HasSubstr("\n- train.decay is not"));
  EXPECT_THAT(to_text(rows, CompareFormat::latex), HasSubstr("\n% train.decay is not"));
  EXPECT_THAT(to_text(rows, CompareFormat::csv), HasSubstr(",0,0,target.plugin train.decay,"));
  EXPECT_THAT(to_text(rows, CompareFormat::json), HasSubstr("\"target.plugin\",\n      \"train.decay\"\n"));
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
  const auto json = nlohmann::json::parse(to_text(rows, CompareFormat::json, beside));
  EXPECT_EQ(json[0]["beside"]["published"], "1.11 ± 0.05");
  EXPECT_EQ(json[1]["beside"]["published"], "");
  EXPECT_FALSE(nlohmann::json::parse(to_text(rows, CompareFormat::json))[0].contains("beside"));
  EXPECT_THAT(markdown, HasSubstr("\n| minus ctl | pairs |"));
  EXPECT_THAT(markdown, HasSubstr("\n| dpg | 0 | -0.7500 ± 0.2772 | -0.2500 ± 0.5544 |"));
  EXPECT_EQ(markdown, to_text(rows, CompareFormat::md, beside));
  EXPECT_THAT(to_text(rows, CompareFormat::csv),
              HasSubstr(",pairs,shared_samples,missing_keys,kl_q_sigma.difference,"));
  EXPECT_THAT(to_text(rows, CompareFormat::json), HasSubstr("\"difference\": {\n      \"kl_q_sigma\": {"));
  write_comparison(folder.path() / "table.h5", rows);
  const store::Results results = store::load_results(folder.path() / "table.h5");
  EXPECT_EQ(std::get<std::string>(results.arrays.at("label")), "ctl\ndpg\n");
  EXPECT_EQ(std::get<Array<double>>(results.arrays.at("kl_q_sigma.mean")).values, (std::vector{1.0, 0.25}));
}

TEST(Compare, LatexHasNoCharacterThatItReadsOtherwise) {
  std::vector<RunSummary> runs{run_of("a_b & 50% \\x", 1, -6.0, -7.0, -5.5),
                               run_of("{c}~^#$", 1, -6.0, -6.5, -5.5)};
  const std::string text = to_text(compare(runs), CompareFormat::latex);
  EXPECT_THAT(
      text,
      HasSubstr("\\begin{tabular}{lrrrrrrr}\n\\hline\n{} & runs & KL(q \\textbar{}\\textbar{} sigma) &"));
  EXPECT_THAT(text, HasSubstr("\na\\_b \\& 50\\% \\textbackslash{}x & 1 & 1.0000 $\\pm$ 0.1960 &"));
  EXPECT_THAT(text, HasSubstr("\n\\{c\\}\\textasciitilde{}\\textasciicircum{}\\#\\$ & 1 &"));
  EXPECT_THAT(text, HasSubstr(" & -- & "));
  EXPECT_EQ(text.find("±"), std::string::npos);
}

TEST(Compare, ThePageHasTablesAndOverlaidCourses) {
  const test::TemporaryFolder folder;
  std::vector<RunSummary> runs;
  for (const auto& [objective, seed, kl] :
       {std::tuple("<a>", 1, 4.0), std::tuple("<a>", 2, 6.0), std::tuple("dpg", 1, 3.0)}) {
    runs.push_back(run_of(objective, seed, -6.0, -6 - kl, -5.5));
    const auto run = folder.path() / std::to_string(runs.size());
    runs.back().folder = runs.back().config["run.output"] = runs.back().config["exact.path"] = run.string();
    std::filesystem::create_directory(run);
    std::ofstream metrics(run / "metrics.jsonl");
    for (const int update : {0, 5, 9}) {
      if (update == 9 && seed == 2) continue;  // it stopped earlier
      metrics << R"({"update":)" << update << R"(,"event":"evaluation","evaluation.kl.q_sigma.mean":)"
              << kl - update / 10.0 << "}\n";
    }
  }
  const std::string page = to_text(compare(runs), CompareFormat::html);
  for (const char* part : {"<h2 id=\"differences\">", "&lt;a&gt;", "3 runs in 2 rows",
                           "<figcaption>KL(q ‖ σ)</figcaption>", "label,runs,log_z,"})
    EXPECT_THAT(page, HasSubstr(part));
  EXPECT_EQ(page.find("<a>"), std::string::npos);
  EXPECT_THAT(
      page,
      HasSubstr(
          "updates,nats,half_width_95\n&lt;a&gt;,0,5,12.706204736174698\n&lt;a&gt;,5,4.5,12.706204736174698\n"
          "dpg,0,3,\ndpg,5,2.5,\ndpg,9,2.1,\n"))
      << "means at the updates that all runs of a row have";
  EXPECT_EQ(page.find("SMC upper bound of log Z"), std::string::npos) << "nobody knows it";
}

TEST(Compare, ASweepOverNumbersIsACurve) {
  std::vector<RunSummary> runs;
  for (const char* particles : {"64", "16", "256"}) {
    runs.push_back(run_of("ctl", 1, -6.0, -7.0 - static_cast<double>(runs.size()), -5.5));
    runs.back().config["smc.particles"] = particles;
  }
  EXPECT_THAT(
      to_text(compare(runs), CompareFormat::html),
      HasSubstr(
          "mean,16,2,0.1959963984540054\nmean,64,1,0.1959963984540054\nmean,256,3,0.1959963984540054\n"));
  runs.pop_back();
  EXPECT_EQ(to_text(compare(runs), CompareFormat::html).find("mean,16"), std::string::npos) << "two points";
}

// Whatever the numbers: a terminal has 120 columns, and the names of rows stand in each part.
TEST(Compare, LongLabelsAreNumbersThatALegendExplains) {
  std::vector<ComparedRow> rows(2);
  rows[0].label = "prompt.text = " + std::string(80, 'a');
  rows[1].label = "prompt.text = b";
  rows[1].n_shared_samples = 8;
  const std::string markdown =
      to_text(rows, CompareFormat::markdown, {{"cited"}, {{rows[1].label, {"7.5"}}}});
  EXPECT_THAT(markdown, HasSubstr("| [2] | 0 | "));
  EXPECT_THAT(markdown, HasSubstr(" | 7.5 |\n"));
  EXPECT_THAT(markdown, HasSubstr("| minus [1] | pairs |"));
  EXPECT_THAT(markdown,
              HasSubstr("\n- [1] " + rows[0].label + "\n- [2] prompt.text = b\n- KL(sigma || q) of '[2]'"));
  EXPECT_THAT(to_text(rows, CompareFormat::csv), HasSubstr("\n" + rows[0].label + ","))
      << "files keep the labels";
  rows[0].label = "prompt.text = a";
  EXPECT_THAT(to_text(rows, CompareFormat::text), testing::Not(HasSubstr("[1]")));
}

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

/// A folder with a summary of one evaluation, and beside it those of a base model and of a policy.
void write_summary(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "summary.json") << R"({
    "log_z": {"estimate": {"value": -6, "se": 0.5, "method": "rejection"}, "smc_lower": {"mean": -7, "se": 0.25, "n": 4},
      "smc_upper": null},
    "kl": {"q_sigma": {"mean": "inf", "se": null, "n": 9}},
    "proposal": {"f_q": {"mean": "-inf", "se": null, "n": 9}, "g_q": {"mean": -2, "se": 0.5, "n": 2}, "log_phi": null,
      "kl_q_p0": null},
    "ess": {"final": 3.5}, "probability": {"value": 0.25}, "updates": 3,
    "base": {"log_z": {"smc_lower": {"mean": -8, "se": 0.125, "n": 4}}},
    "policies": {"policy.cold": {"kl": {"sigma_q": {"mean": 1.5, "se": 0.75, "n": 4}}}},
    "config": {"model": {"path": "models/tiny"}, "evaluate": {"samples": 9}}, "versions": {"twistor": "0.1.0"}})";
}

TEST(LmEval, HasTheHarnessLayout) {
  const test::TemporaryFolder folder;
  const std::vector<std::filesystem::path> runs{folder / "mine", folder / "other/mine/"};
  for (const auto& run : runs) write_summary(run);
  const auto json = nlohmann::json::parse(lm_eval_text(runs));
  const auto& results = json.at("results");
  EXPECT_EQ(results.size(), 6U) << results.dump(2);
  EXPECT_EQ(results.at("mine"),
            nlohmann::json::parse(R"({"alias": "mine", "log_z,none": -6, "log_z_stderr,none": 0.5,
    "log_z_smc_lower,none": -7, "log_z_smc_lower_stderr,none": 0.25, "kl_q_sigma,none": "inf",
    "kl_q_sigma_stderr,none": "N/A", "proposal_f_q,none": "-inf", "proposal_f_q_stderr,none": "N/A",
    "proposal_g_q,none": -2, "proposal_g_q_stderr,none": 0.5, "probability,none": 0.25,
    "probability_stderr,none": "N/A", "ess_final,none": 3.5, "ess_final_stderr,none": "N/A"})"));
  EXPECT_EQ(results.at("mine.base").at("log_z_smc_lower,none"), -8);
  EXPECT_EQ(results.at("mine#2.policy.cold").at("kl_sigma_q_stderr,none"), 0.75);
  for (const char* member : {"configs", "versions", "n-shot", "higher_is_better", "n-samples"})
    for (const auto& [task, metrics] : results.items())
      EXPECT_TRUE(json.at(member).contains(task)) << member << " of " << task;
  EXPECT_EQ(json.at("higher_is_better").at("mine").at("kl_q_sigma"), false);
  EXPECT_EQ(json.at("higher_is_better").at("mine").at("log_z_smc_lower"), true);
  EXPECT_EQ(json.at("n-samples").at("mine").at("effective"), 9);
  EXPECT_EQ(comparison_of(runs, {.format = CompareFormat::lm_eval}), lm_eval_text(runs));
  std::ofstream(folder / "mine/summary.json") << "{}";
  EXPECT_EQ(test::error_of([&] { (void)lm_eval_text(runs); }).kind(), ErrorKind::data);
}

TEST(ReadSummary, TakesNumbersByExactSampleThatBelongToIt) {
  const test::TemporaryFolder folder;
  write_summary(folder.path());
  EXPECT_TRUE(read_summary(folder.path()).g.empty()) << "there is no results.h5";
  store::Results results;
  results.arrays["after/sigma/log_weight"] = Array<double>::flat({-3, -1});
  results.arrays["after/sigma/samples"] = std::string("abc");
  store::write_results(folder / "results.h5", results);
  EXPECT_EQ(read_summary(folder.path()).g, (std::vector<double>{-3, -1}));
  EXPECT_EQ(read_summary(folder.path()).exact_digest, "abc");
  results.arrays["after/sigma/log_weight"] = Array<double>::flat({-3, -2});  // the mean is another than g_q
  store::write_results(folder / "results.h5", results);
  EXPECT_TRUE(read_summary(folder.path()).g.empty());
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
