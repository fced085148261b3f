// SPDX-License-Identifier: Apache-2.0
// One evaluation of a twist: a list of named estimates, made from what the estimators found.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/estimate/findings.hpp"
#include "twistor/estimate/log_z.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/estimate/sweep_trace.hpp"

namespace twistor::estimate {

/// An estimate with what is said about it. Names, titles and rows come from the list of estimators in
/// evaluation.cpp, to which one function and one line add another.
struct NamedEstimate {
  std::string_view name;     ///< in files: "SECTION.NAME", "log_z.smc_lower" for instance
  std::string_view title;    ///< in tables for people
  int row = 0;               ///< its place in such tables; 0: not shown
  Estimate value;            ///< n = 0 if it could not be made; a mean of NaN: only `range` is known
  std::vector<double> runs;  ///< of the bounds: the values by repeat. Lost by to_numbers()
  Interval range{};          ///< of divergences: what the range of log Z makes of it
  bool is_exact = false;     ///< a sum over all sequences, not an estimate
  int column = 0;            ///< its place in tables with a row for each evaluation; 0: not shown

  [[nodiscard]] bool is_made() const { return value.n > 0; }
  /// What must be said beside the number: "exact", "one exact sample", "lower bound", "upper bound", "support
  /// cut" where q gives no probability to an exact sample; else empty.
  [[nodiscard]] std::string_view note() const;
};

/// The probability of the event that phi tells, with a 95 % interval. NaN: phi tells none, or nothing is
/// known.
struct Probability {
  double value = nan;
  Interval range{};
  LogZMethod method = LogZMethod::none;
  static constexpr double level = 0.95;
};

/// What is known of a twist. Means and standard errors are over repeats or samples; NaN is what is not known.
struct Evaluation {
  std::int64_t update = 0;  ///< updates that the twist had seen
  KnownTarget known{};      ///< of what it holds, exact_log_z alone survives to_numbers()
  /// All that follows are means over the targets of so many observations; 0: there is one target.
  std::int64_t observations = 0;
  std::int64_t prompts = 0;              ///< the same over so many prompts
  std::int64_t seeds = 0;                ///< of one target, but means over so many seeds of a grid
  LogZ log_z{};                          ///< that divergences are made with; see use_log_z()
  std::vector<NamedEstimate> estimates;  ///< every one of the list, in its order
  /// Mean over the SMC lower runs of the single-run estimate of Var(log Z_hat); NaN where it is none.
  double genealogical_variance = nan;
  /// Of log Z_hat over the SMC lower runs; NaN for one, or if one of them vanished.
  double sample_variance = nan;
  /// One-sided statements that hold with probability 95 % each, whatever the twist, by Markov's inequality.
  Interval certified_log_z{};
  Probability probability{};
  double mean_final_ess = 0;           ///< of the SMC lower runs
  std::vector<double> mean_ess;        ///< as Sweep::ess, mean over the SMC lower runs
  double mean_founders = nan;          ///< likewise
  std::vector<double> mean_survivors;  ///< as Sweep::unique_ancestors, likewise
  /// Of |log q while sampling - log q teacher-forced| over the samples of q: 0 unless something is wrong.
  double log_q_error_largest = nan, log_q_error_mean = nan;
  std::vector<ProposalSample> q;    ///< the samples of q. Lost by to_numbers()
  std::vector<double> g;            ///< log p0 phi / q of exact samples. Lost by to_numbers()
  std::string exact_digest{};       ///< of these samples, in this order: exact::digest(). Likewise
  std::optional<SweepTrace> trace;  ///< one small sweep. Lost by to_numbers()
  /// Of a mean over prompts: the mean of distance_from_target(), over those whose upper bounds are known if
  /// there are some.
  double distance = nan;
  double seconds = 0;
  Counters counters{};  ///< of this rank. Lost by to_numbers()

  [[nodiscard]] bool is_mean() const { return observations + prompts + seeds > 0; }
  /// The estimate of that name. Throws Error(internal) if there is none.
  [[nodiscard]] const Estimate& operator[](std::string_view name) const { return find(name).value; }
  [[nodiscard]] const NamedEstimate& find(std::string_view name) const;
};

/// All estimates from whole findings, with the log Z that follows from them alone. *Local.*
[[nodiscard]] Evaluation make_evaluation(const Findings& found, const KnownTarget& known);

/// An evaluation without its runs and counters as numbers, NaN included, for files of unfinished work and for
/// other ranks; and back. *Local.* Throws Error(data) if their number is not what they say.
[[nodiscard]] std::vector<double> to_row(const Evaluation& e);
[[nodiscard]] Evaluation evaluation_from_row(std::span<const double> row);

/// How far a sampler is from the target, for telling which of several twists of one run is the best: the mean
/// distance of the closer pair of bounds of log Z (which is the sum of both divergences on the extended
/// space; over prompts Evaluation::distance) or, where there are no upper bounds, minus the higher lower
/// bound. Smaller is better; +inf if nothing is known. *Local.*
[[nodiscard]] double distance_from_target(const Evaluation& e);

/// Makes the divergences anew with that log Z. *Local.*
void use_log_z(Evaluation& e, const LogZ& log_z);

/// use_log_z() of the best for all of them: the columns of a run differ by their proposals alone. Null
/// pointers do not count; means over observations keep each observation's own. *Local.*
void share_log_z(std::span<Evaluation* const> evaluations);
inline void share_log_z(std::initializer_list<Evaluation*> evaluations) {
  share_log_z(std::span(evaluations.begin(), evaluations.size()));
}

/// The scalars of an evaluation as they travel in checkpoints, PREFIX.NAME, and back: nothing if there is no
/// evaluation of that prefix. What is not known is left out, so that no number is NaN; an estimate that they
/// lack could not be made then. *Local.*
[[nodiscard]] std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix);
[[nodiscard]] std::optional<Evaluation> evaluation_from_numbers(const std::map<std::string, double>& numbers,
                                                                const std::string& prefix);

}  // namespace twistor::estimate
