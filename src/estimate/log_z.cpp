// SPDX-License-Identifier: Apache-2.0
// Choosing log Z.
#include "twistor/estimate/log_z.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/estimate/evaluation.hpp"

namespace twistor::estimate {
namespace {

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

/// The highest lower bound as `low`, the mean of Z_hat with the smallest error as the value.
LogZ from_below(std::span<const Evaluation* const> evaluations) {
  LogZ out;
  for (const Evaluation* e : evaluations) {
    if (e == nullptr) continue;
    for (const auto& [lower, mean] :
         {std::pair{"log_z.smc_lower", "log_z.smc_mean"}, std::pair{"log_z.sis_lower", "log_z.sis_mean"}}) {
      const double bound = (*e)[lower].mean;
      if (std::isfinite(bound) && !(out.low >= bound)) {
        out.low = bound;
        out.method = LogZMethod::mean_z_hat;
      }
      const Estimate& z = (*e)[mean];
      if (!std::isfinite(z.mean) || e->known.may_cut_support) continue;
      if (std::isnan(out.value) || or_infinity(z.se) < or_infinity(out.se)) {
        out.value = z.mean;
        out.se = z.se;
      }
      out.method = LogZMethod::mean_z_hat;
    }
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
