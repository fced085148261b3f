// SPDX-License-Identifier: Apache-2.0
// Judging a run by its summary.
#include "verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "json_value.hpp"
#include "run_json.hpp"

namespace twistor::report {
namespace {

using Json = nlohmann::json;

constexpr double tight = 0.1;  // nats of log Z

/// A divergence, or the least that it can be where its value is not known.
double divergence(const Json& summary, const char* name) {
  const Json& kl = at(summary, {"kl", name});
  const double mean = number_of(at(kl, {"mean"}));
  return std::isnan(mean) ? number_of(at(kl, {"low"})) : mean;
}

/// The larger of those that are known, NaN if none is: a sampler that misses a part of the target shows it in
/// one of them alone.
double larger_divergence(const Json& summary) {
  return std::fmax(divergence(summary, "q_sigma"), divergence(summary, "sigma_q"));
}

/// By the bounds of log Z: runs of K particles, resampled and weighted.
Verdict on_bounds(const Json& summary, const Bounds& bounds) {
  constexpr double loose = 1;
  if (std::isinf(bounds.low))
    return {Trust::bad,
            "There is no lower bound of log Z: some runs found no text of the target. More particles or "
            "updates help, or a potential that is never 0 (target.log_floor)."};
  std::string text =
      bounds.gap() < 0
          ? fmt::format("The tighter bounds of log Z cross by {:.4f} nats, with an error of {:.4f}: ",
                        -bounds.gap(), bounds.se)
          : fmt::format("The tighter bounds of log Z are {:.4f} nats apart: ", bounds.gap());
  const double K = particles_of(summary);
  text += std::isnan(K) ? "populations " : fmt::format("populations of {:.0f} particles ", K);
  const bool is_exact = !std::isnan(number_of(at(summary, {"log_z", "exact"})));
  if (bounds.width() < tight)
    return {Trust::good,
            text + "follow the target closely, and what rests on them can be trusted to about that."};
  if (bounds.width() < loose)
    return {Trust::fair, text + "follow the target roughly" +
                             (is_exact ? "." : "; take log Z as the interval between the bounds.")};
  text += is_exact ? "do not reach the target." : "do not reach the target; only the interval is certain.";
  return {Trust::bad, text + " More updates or particles bring the bounds together."};
}

std::string on_missed(double nats) {
  return fmt::format(
      "Populations that resample miss a part of the target: runs without resampling show that "
      "log Z lies at least {:.4f} nats above the 95 % interval of their mean.",
      nats);
}

/// Of q alone, as it writes one text.
Verdict on_single_texts(double nats) {
  constexpr double near = 0.5, far = 2;
  const std::string distance = std::isinf(nats) ? "infinite" : fmt::format("{:.4f} nats", nats);
  if (nats < near)
    return {Trust::good, fmt::format(" Single texts of q are close to the target too: the larger of both "
                                     "divergences is {}.",
                                     distance)};
  if (nats < far)
    return {Trust::good,
            fmt::format(" Single texts of q are some way from the target: the larger of both divergences is "
                        "{}; draw from populations (twistor sample) rather than one by one.",
                        distance)};
  return {Trust::fair,
          fmt::format(" Single texts of q are far from the target: the larger of both divergences is {}. "
                      "Only weights and resampling make up for that.",
                      distance)};
}

}  // namespace

Verdict verdict_on(const Json& summary) {
  constexpr double few = 0.1;  // of the particles
  if (number_of(at(summary, {"log_q_error", "largest"})) > 1e-3)
    return {Trust::bad, "log q while sampling and afterwards differ: something is wrong with the model."};
  const double missed = number_of(at(summary, {"log_z", "missed_by_smc"}));
  if (missed > tight)
    return {Trust::bad, on_missed(missed) + " More particles or updates help, or smc.trigger = never."};
  const Bounds bounds = best_bounds(summary);
  Verdict out = std::isnan(bounds.high)
                    ? Verdict{Trust::fair,
                              "There are no exact samples, so there is no upper bound: whether populations "
                              "miss a part of the target cannot be seen from this run."}
                    : on_bounds(summary, bounds);
  const auto add = [&](const Verdict& more) {
    out.trust = std::max(out.trust, more.trust);
    out.words += more.words;
  };
  if (missed > 0) add({Trust::fair, " " + on_missed(missed)});
  if (const double nats = larger_divergence(summary); !std::isnan(nats)) add(on_single_texts(nats));
  const double ess = number_of(at(summary, {"ess", "final"})), K = particles_of(summary);
  if (ess < few * K)
    add({Trust::fair, fmt::format(" Few particles carry the weight at the end: {:.1f} of {:.0f}.", ess, K)});
  return out;
}

}  // namespace twistor::report
