// SPDX-License-Identifier: Apache-2.0
// Choosing log Z.
#include "twistor/estimate/log_z.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/estimate/evaluation.hpp"

namespace twistor::estimate {
namespace {

/// Nats: twists that are exact leave runs that differ by rounding alone.
constexpr double negligible = 1e-3;

/// NaN counts as the largest.
double or_infinity(double x) {
  return std::isnan(x) ? -log_zero : x;
}

/// A pair of bounds of one evaluation.
struct Sandwich {
  Estimate lower, upper;
  LogZMethod method;

  [[nodiscard]] bool is_two_sided() const { return std::isfinite(lower.mean) && std::isfinite(upper.mean); }
  /// |gap| + se: a gap that is negative by chance is no better than a positive one. What is unknown of the
  /// standard errors does not count against a pair, because it is unknown for all of a run's pairs.
  [[nodiscard]] double width() const {
    const auto known = [](double se) { return std::isnan(se) ? 0.0 : se; };
    return std::abs(upper.mean - lower.mean) + std::hypot(known(lower.se), known(upper.se));
  }
  [[nodiscard]] LogZ log_z() const {
    const double gap = upper.mean - lower.mean;
    return {0.5 * (lower.mean + upper.mean), 0.5 * std::hypot(gap, std::hypot(lower.se, upper.se)),
            std::min(lower.mean, upper.mean), std::max(lower.mean, upper.mean), method};
  }
};

std::vector<Sandwich> sandwiches_of(std::span<const Evaluation* const> evaluations) {
  std::vector<Sandwich> out;
  for (const Evaluation* e : evaluations) {
    if (e == nullptr) continue;
    out.push_back({(*e)["log_z.smc_lower"], (*e)["log_z.smc_upper"], LogZMethod::smc_midpoint});
    out.push_back({(*e)["log_z.sis_lower"], (*e)["log_z.sis_upper"], LogZMethod::sis_midpoint});
  }
  return out;
}

/// What one estimator of one evaluation says without exact samples.
struct OneSided {
  Estimate lower, log_mean;
  bool is_mean_of_z;  ///< E[Z_hat] = Z

  [[nodiscard]] double surely_below() const { return surely_below_log_z(lower, log_mean); }
};

std::vector<OneSided> one_sided_of(std::span<const Evaluation* const> evaluations) {
  std::vector<OneSided> out;
  for (const Evaluation* e : evaluations) {
    if (e == nullptr) continue;
    for (const std::string estimator : {"log_z.smc_", "log_z.sis_"}) {
      OneSided x{(*e)[estimator + "lower"], (*e)[estimator + "mean"], !e->known.may_cut_support};
      if (std::isfinite(x.lower.mean)) out.push_back(x);
    }
  }
  return out;
}

/// The lower bound that is surest to be high as `low`; as the value the mean of Z_hat with the smallest error
/// among those that no lower bound contradicts.
LogZ from_below(std::span<const Evaluation* const> evaluations) {
  const std::vector<OneSided> all = one_sided_of(evaluations);
  LogZ out;
  if (all.empty()) return out;
  out.method = LogZMethod::mean_z_hat;
  const auto best = std::ranges::max_element(
      all, {}, [](const OneSided& x) { return std::pair(x.surely_below(), x.lower.mean); });
  out.low = best->lower.mean;
  const double shown = best->surely_below();
  for (const OneSided& x : all) {
    const Estimate& z = x.log_mean;
    if (!std::isfinite(z.mean) || !x.is_mean_of_z || falls_short(z, shown) > 0) continue;
    if (!std::isnan(out.value) && or_infinity(z.se) >= or_infinity(out.se)) continue;
    out.value = z.mean;
    out.se = z.se;
  }
  return out;
}

LogZ from_above(const std::vector<Sandwich>& sandwiches) {
  LogZ out;
  for (const Sandwich& s : sandwiches)
    if (std::isfinite(s.upper.mean) && !(out.high <= s.upper.mean)) {
      out.high = s.upper.mean;
      out.low = log_zero;
      out.method = LogZMethod::upper_bound;
    }
  return out;
}

LogZ exactly(double value, LogZMethod method) {
  return {value, 0, value, value, method};
}

}  // namespace

LogZ rejection_log_z(const RejectionCount& count) {
  LogZ out;
  if (count.n_draws <= 0) return out;
  const auto n = static_cast<double>(count.n_accepted), N = static_cast<double>(count.n_draws);
  const Interval p = count.has_stopped_early
                         ? negative_binomial_interval(count.n_accepted, count.n_draws, 0.95)
                         : binomial_interval(count.n_accepted, count.n_draws, 0.95);
  out.low = std::log(p.low) + count.log_bound;
  out.high = std::log(p.high) + count.log_bound;
  out.method = LogZMethod::rejection;
  if (count.n_accepted == 0) return out;
  out.value = std::log(n / N) + count.log_bound;
  out.se = std::sqrt((1 - n / N) / n);
  return out;
}

double surely_below_log_z(const Estimate& lower, const Estimate& log_mean) {
  const double half_width = half_width_95(lower);
  if (!std::isfinite(lower.mean) || std::isnan(half_width)) return log_zero;
  if (lower.mean != log_mean.mean) return lower.mean - half_width;
  return half_width < 1 ? lower.mean + std::log1p(-half_width) : log_zero;
}

double falls_short(const Estimate& log_mean, double value) {
  const double half_width = half_width_95(log_mean);
  if (!std::isfinite(log_mean.mean) || std::isnan(half_width)) return 0;
  const double nats = value - (log_mean.mean + half_width);
  return nats > negligible ? nats : 0;
}

double missed_by_smc(const Evaluation& e) {
  if (e.is_mean() || e.known.may_cut_support) return 0;
  return falls_short(e["log_z.smc_mean"], surely_below_log_z(e["log_z.sis_lower"], e["log_z.sis_mean"]));
}

LogZ best_log_z(std::span<const Evaluation* const> evaluations) {
  const auto first_known = [&](double KnownTarget::*member) {
    for (const Evaluation* e : evaluations)
      if (e != nullptr && !std::isnan(e->known.*member)) return e->known.*member;
    return nan;
  };
  if (const double z = first_known(&KnownTarget::given_log_z); !std::isnan(z))
    return exactly(z, LogZMethod::given);
  if (const double z = first_known(&KnownTarget::exact_log_z); !std::isnan(z))
    return exactly(z, LogZMethod::exact);
  LogZ rejection;
  for (const Evaluation* e : evaluations)
    if (e != nullptr && e->known.rejection) rejection = rejection_log_z(*e->known.rejection);
  std::vector<Sandwich> pairs = sandwiches_of(evaluations);
  const LogZ above = from_above(pairs);
  std::erase_if(pairs, [](const Sandwich& s) { return !s.is_two_sided(); });
  const auto tightest = std::ranges::min_element(pairs, {}, &Sandwich::width);
  if (tightest != pairs.end()) {
    const LogZ middle = tightest->log_z();
    return !std::isnan(rejection.value) && rejection.se < or_infinity(middle.se) ? rejection : middle;
  }
  if (!std::isnan(rejection.value)) return rejection;
  const LogZ below = from_below(evaluations);
  if (below.method != LogZMethod::none) return below;
  return above.method != LogZMethod::none ? above : rejection;
}

}  // namespace twistor::estimate
