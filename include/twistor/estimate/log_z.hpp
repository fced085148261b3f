// SPDX-License-Identifier: Apache-2.0
// log Z as well as a run knows it: one value for all of its evaluations, its error, and where it comes from.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "twistor/base/names.hpp"
#include "twistor/estimate/statistics.hpp"

namespace twistor::estimate {

struct Evaluation;

/// What rejection sampling has seen: it accepts a draw with probability Z / M.
struct RejectionCount {
  std::int64_t n_draws = 0;
  std::int64_t n_accepted = 0;
  double log_bound = 0;            ///< log M
  bool has_stopped_early = false;  ///< with the last sample that was wanted, not after a number of draws
};

/// What is known of a target beside the runs of the estimators.
struct KnownTarget {
  double given_log_z = std::numeric_limits<double>::quiet_NaN();  ///< from the user; NaN if not given
  double exact_log_z = std::numeric_limits<double>::quiet_NaN();  ///< by enumeration; NaN if unknown
  std::optional<RejectionCount> rejection{};
  /// Exact samples that upper runs pin in turns: run i pins sample i mod n_exact. 0: each has its own.
  std::int64_t n_exact = 0;
  bool is_event = false;  ///< phi is 0 or 1, so that Z is a probability
  /// q may be 0 where sigma is not (truncated policies): then E[Z_hat] may lie below Z, bounds stay bounds,
  /// and no mean of Z_hat stands for Z.
  bool may_cut_support = false;
};

/// Where a value of log Z comes from.
enum class LogZMethod {
  none,          ///< nothing is known
  given,         ///< evaluate.log_z
  exact,         ///< enumeration
  rejection,     ///< accepted / drawn
  smc_midpoint,  ///< the middle of the SMC bounds
  sis_midpoint,
  mean_z_hat,   ///< log of the mean of Z_hat over repeats: no upper bound is known
  upper_bound,  ///< no lower bound is known, and no value
  mixed,        ///< of a mean over observations: not the same for all of them
};
constexpr auto names_of(LogZMethod) {
  return std::array{Named{LogZMethod::none, "none"},
                    Named{LogZMethod::given, "given"},
                    Named{LogZMethod::exact, "exact"},
                    Named{LogZMethod::rejection, "rejection"},
                    Named{LogZMethod::smc_midpoint, "midpoint of the SMC bounds"},
                    Named{LogZMethod::sis_midpoint, "midpoint of the SIS bounds"},
                    Named{LogZMethod::mean_z_hat, "mean of Z_hat"},
                    Named{LogZMethod::upper_bound, "upper bound only"},
                    Named{LogZMethod::mixed, "as each observation has it"}};
}

/// NaN stands for what is not known.
struct LogZ {
  double value = std::numeric_limits<double>::quiet_NaN();
  /// Of the value; half the gap between two bounds counts as an error of their midpoint. NaN too where an
  /// upper bound comes from a single exact sample.
  double se = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN(),
         high = std::numeric_limits<double>::quiet_NaN();  ///< log Z lies between them, as far as is known
  LogZMethod method = LogZMethod::none;

  [[nodiscard]] bool is_exact() const { return method == LogZMethod::exact || method == LogZMethod::given; }
};

/// log(accepted / drawn) + log M with the binomial standard error, and the 95 % interval of Clopper and
/// Pearson (1934), for draws up to the last wanted sample that of the negative binomial law. Nothing
/// accepted: no value and low = -inf. *Local.*
[[nodiscard]] LogZ rejection_log_z(const RejectionCount& count);

/// What independent log Z_hat with E[Z_hat] = Z show log Z to exceed: the lower end of the 95 % interval of
/// their mean or, where a run has vanished and `lower` is `log_mean`, the log of the mean of Z_hat, of that
/// of the mean on the scale of Z. -inf if they show nothing. *Local.*
[[nodiscard]] double surely_below_log_z(const Estimate& lower, const Estimate& log_mean);

/// By how many nats the upper end of the 95 % interval of `log_mean` lies below a value that log Z exceeds:
/// runs that miss a part of the target agree with one another all the same, and their own error is blind to
/// it. 0: no contradiction, one of less than a thousandth, or no error is known. *Local.*
[[nodiscard]] double falls_short(const Estimate& log_mean, double value);

/// falls_short() of the SMC runs of an evaluation, by what its SIS runs show; 0 too for means over targets,
/// and where q may be 0 inside the target. Populations that resample may leave early what would weigh later.
/// *Local.*
[[nodiscard]] double missed_by_smc(const Evaluation& e);

/// The one log Z for all evaluations of a target: given, or exact, or of rejection and the tightest sandwich
/// (by |gap| + se) the one with the smaller error; without upper bounds, of the means of Z_hat that no lower
/// bound contradicts, the one with the smallest error; without lower ones the upper bound alone. Null
/// pointers do not count. *Local.*
[[nodiscard]] LogZ best_log_z(std::span<const Evaluation* const> evaluations);

}  // namespace twistor::estimate
