// SPDX-License-Identifier: Apache-2.0
// Several runs in one table: methods side by side, means over seeds, one log Z for all that share a target.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::report {

/// What summary.json says of a finished run.
struct RunSummary {
  std::string folder;
  std::map<std::string, std::string> config;  ///< every key, "section.key", as text
  estimate::Estimate f_q, g_q;                ///< n = 0 where they are null, as all others
  estimate::Estimate lower, upper;            ///< SMC bounds of log Z
  estimate::Estimate log_phi, kl_q_p0;
  /// Of each exact sample log p0 phi / q, whose mean is g_q, and the digest of these samples; empty where
  /// results.h5 does not have them.
  std::vector<double> g;
  std::string exact_digest;
  double log_z =
      std::numeric_limits<double>::quiet_NaN();  ///< the run's own estimate, of all its evaluations
  bool is_log_z_exact = false;
  /// All numbers are means over the targets of observations or prompts: no single log Z makes divergences of
  /// them, and those of the summary stand.
  bool is_mean = false;
  estimate::Estimate kl_q_sigma, kl_sigma_q;  ///< of such means
  std::int64_t updates = 0;
};

/// With the numbers by exact sample of results.h5, if it is there. *Local.* Throws Error(no_input) if the
/// folder has no summary.json, Error(data) if a file is not one of ours.
[[nodiscard]] RunSummary read_summary(const std::filesystem::path& folder);

/// A mean over runs with half the width of its 95 % interval by Student's t; of a single run, its own. NaN is
/// what is not known.
struct OverRuns {
  double mean = std::numeric_limits<double>::quiet_NaN();
  double half_width = std::numeric_limits<double>::quiet_NaN();
};

struct Measures {
  OverRuns kl_q_sigma = {}, kl_sigma_q = {}, lower = {}, upper = {}, log_phi = {}, kl_q_p0 = {};
};

/// The runs that differ in nothing but seed and folder.
struct ComparedRow : Measures {
  std::string label;  ///< what tells it from the others: "dpg", or "objective = dpg, form = mlp"
  std::int64_t n_runs = 0;
  double log_z = std::numeric_limits<double>::quiet_NaN();  ///< that its divergences are made with
  std::vector<std::string> folders{};
  /// From the first row's, where both have one target. With two seeds or more that both rows have (n_pairs),
  /// the mean of the differences seed by seed with Student's interval: what a seed gives both runs, exact
  /// samples for instance, does not count. Else the difference of the means: Welch's interval where both have
  /// several runs, else that of the runs' own standard errors, as of independent runs. Of single runs that
  /// measured with the same exact samples, KL(sigma || q) is paired by these.
  Measures difference{};
  std::int64_t n_pairs = 0;
  std::int64_t n_shared_samples = 0;  ///< exact samples that the difference is paired by; 0: it is not
  std::string why_not_shared{};       ///< why not, where that could have been
  /// Keys that other runs know and a run of this row does not, because another version wrote it. They tell
  /// no rows apart.
  std::vector<std::string> missing_keys{};
};

/// Rows in the order in which their first runs were given. Runs with one model, prompt and target share one
/// log Z: the exact one if a run knows it, else the median of the runs' estimates; means over many targets
/// keep their divergences. `by`: the one key that tells rows apart; empty: all in which runs differ. *Local.*
/// Throws Error(usage) if there is no such key, or if runs of one row differ in others that matter.
[[nodiscard]] std::vector<ComparedRow> compare(std::span<const RunSummary> runs, const std::string& by = {});

/// Columns that stand beside a comparison, by the label of the row: published figures, say.
struct BesideColumns {
  std::vector<std::string> titles;
  std::map<std::string, std::vector<std::string>> cells;  ///< by label, as many as titles
};
/// From lines "label,cell,cell", the first of which has the titles. Lines that begin with # are comments;
/// cells hold no commas. *Local.* Throws Error(no_input) or Error(data).
[[nodiscard]] BesideColumns read_beside(const std::filesystem::path& file);

/// What must be said beside the tables, a sentence each: keys that only some runs know, and whether
/// differences are paired by exact samples. *Local.*
[[nodiscard]] std::vector<std::string> notes_of(std::span<const ComparedRow> rows);

enum class CompareFormat { text, markdown, md, csv, json, latex, html, lm_eval };
constexpr auto names_of(CompareFormat) {
  return std::array{Named{CompareFormat::text, "text"}, Named{CompareFormat::markdown, "markdown"},
                    Named{CompareFormat::md, "md"},     Named{CompareFormat::csv, "csv"},
                    Named{CompareFormat::json, "json"}, Named{CompareFormat::latex, "latex"},
                    Named{CompareFormat::html, "html"}, Named{CompareFormat::lm_eval, "lm-eval"}};
}
/// The table, and the differences from the first row and the notes after it. csv and json have every number
/// in full, means and half widths apart; html is a page of its own with the courses of learning too, which
/// are read from the rows' folders; lm_eval is lm_eval_text() of these. *Local.*
[[nodiscard]] std::string to_text(std::span<const ComparedRow> rows, CompareFormat format,
                                  const BesideColumns& beside = {});

/// All evaluations of runs as JSON in the layout of lm-evaluation-harness' results: "results" has a task for
/// each sampler of each run with "METRIC,none" and "METRIC_stderr,none", "n-samples", "higher_is_better",
/// "versions" and "configs" are by task. Infinities are strings, what is not known is left out. *Local.*
/// Throws as read_summary().
[[nodiscard]] std::string lm_eval_text(std::span<const std::filesystem::path> folders);

struct CompareOptions {
  std::string by{};  ///< as compare()'s
  CompareFormat format = CompareFormat::text;
  std::filesystem::path beside{};   ///< read_beside() of it; empty: none
  std::filesystem::path archive{};  ///< write_comparison() to it; empty: not
};
/// From folders of runs to the text of their comparison. *Local.* Throws as what it is made of.
[[nodiscard]] std::string comparison_of(std::span<const std::filesystem::path> folders,
                                        const CompareOptions& options);

/// The table as results archive: arrays over rows, `label` as lines. *Local.* Throws Error(io).
void write_comparison(const std::filesystem::path& file, std::span<const ComparedRow> rows);

}  // namespace twistor::report
