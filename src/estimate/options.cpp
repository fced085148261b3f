// SPDX-License-Identifier: Apache-2.0
// The keys evaluate.*.
#include "twistor/estimate/options.hpp"

#include <algorithm>

#include "twistor/config/fields.hpp"
#include "twistor/config/make_key.hpp"

namespace twistor::estimate {

void Options::visit_keys(const config::Visitor& visit) {
  using config::count_from, config::key;
  visit(key("repeats", "runs of each estimator of log Z", count_from(1)), &repeats);
  visit(key("samples", "samples for each KL divergence", count_from(1)), &samples);
  visit(key("observations", "conditional twists: observations to evaluate", count_from(1)), &observations);
  visit(key("checkpoint", "twist to use, empty: run.output/checkpoint.h5"), &checkpoint);
  visit(key("base", "evaluate the base model too, psi = 1 and q = p0, to compare with"), &base);
  visit(key("enumerate", "exact log Z by enumeration"), config::Choice(enumerate));
  visit(key("enumeration_limit", "enumerate = auto: most sequences", {1, 4294967296.0}), &enumeration_limit);
  visit(key("enumerate_q", "where the target is enumerated, q too, which makes divergences exact"),
        &enumerate_q);
  visit(key("log_z", "log Z where it is known from elsewhere, overrides what the run finds"), &log_z);
}

double Options::most_enumerated() const {
  if (enumerate == Enumerate::never) return 0;
  return enumerate == Enumerate::always ? config::infinity : static_cast<double>(enumeration_limit);
}

std::optional<double> Options::given_log_z() const {
  return config::optional_number(log_z, "evaluate.log_z");
}

std::int64_t Options::n_sequences(std::int64_t particles, std::int64_t n_exact) const {
  const std::int64_t estimators = n_exact > 0 ? 4 : 2;
  return estimators * repeats * particles + samples + std::min(samples, n_exact);
}

}  // namespace twistor::estimate
