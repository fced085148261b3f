// One evaluation of a twist: a list of named estimates, made from what the estimators found.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/estimate/findings.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::estimate {

/// An estimate with what is said about it. Names, titles and rows come from the list of estimators in
/// evaluation.cpp, to which one function and one line add another.
struct NamedEstimate {
  std::string_view name;     ///< in files: "SECTION.NAME", "log_z.smc_lower" for instance
  std::string_view title;    ///< in tables for people
  int row = 0;               ///< its place in such tables; 0: not shown
  Estimate value;            ///< n = 0 if it could not be made
  std::vector<double> runs;  ///< of the bounds: the values by repeat. Lost by to_numbers()
};

/// What is known of a twist. Means and standard errors are over repeats or samples.
struct Evaluation {
  std::int64_t update = 0;                                        ///< updates that the twist had seen
  double exact_log_z = std::numeric_limits<double>::quiet_NaN();  ///< NaN if unknown
  std::vector<NamedEstimate> estimates;                           ///< every one of the list, in its order
  double genealogical_variance = 0;  ///< mean over the SMC lower runs of the single-run estimate
  double mean_final_ess = 0;         ///< of the SMC lower runs
  std::vector<double> mean_ess;      ///< as Sweep::ess, mean over the SMC lower runs
  double seconds = 0;
  Counters counters{};  ///< of this rank. Lost by to_numbers()

  /// The estimate of that name. Throws Error(internal) if there is none.
  [[nodiscard]] const Estimate& operator[](std::string_view name) const;
};

/// All estimates from whole findings. *Local.*
[[nodiscard]] Evaluation make_evaluation(const Findings& found, double exact_log_z);

/// log Z for the divergences: exact where known, else the midpoint of the tighter sandwich, else the best
/// lower bound. *Local.*
[[nodiscard]] double best_log_z(const Findings& found, double exact);

/// The scalars of an evaluation as they travel in checkpoints, PREFIX.NAME, and back: nothing if there is no
/// evaluation of that prefix. An estimate that they lack could not be made then. *Local.*
[[nodiscard]] std::map<std::string, double> to_numbers(const Evaluation& e, const std::string& prefix);
[[nodiscard]] std::optional<Evaluation> evaluation_from_numbers(const std::map<std::string, double>& numbers,
                                                                const std::string& prefix);

}  // namespace twistor::estimate
