// SPDX-License-Identifier: Apache-2.0
// Probabilities of a class as potentials.
#include "class_rule.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::potential {
ClassLogProb ClassLogProb::from_logit(double logit) {
  return {log_sigmoid(logit), log_sigmoid(-logit)};
}

ClassRule::ClassRule(const PotentialOptions& options, const std::string& doing)
    : is_threshold_(from_name<RuleKind>(options.rule, "target.rule", doing) == RuleKind::threshold),
      is_negated_(options.negate),
      threshold_(options.threshold),
      log_floor_(options.log_floor),
      beta_(options.beta) {
  TWISTOR_CHECK(beta_ > 0, ErrorKind::config, doing,
                fmt::format("target.beta is {} (expected a positive number)", beta_));
  TWISTOR_CHECK(std::isfinite(threshold_), ErrorKind::config, doing,
                fmt::format("target.threshold is {} (expected a finite number)", threshold_));
  TWISTOR_CHECK(log_floor_ <= 0, ErrorKind::config, doing,
                fmt::format("target.log_floor is {} (expected at most 0; -inf is allowed)", log_floor_));
  for (const std::string& key : keys_that_are_set(options))
    TWISTOR_CHECK(is_threshold_ || (key != "threshold" && key != "log_floor"), ErrorKind::config, doing,
                  fmt::format("target.{} is set, but target.rule = probability does not read it", key),
                  "set target.rule = threshold, or leave it as it is by default");
}

double ClassRule::log_phi(ClassLogProb p) const {
  if (is_negated_) std::swap(p.log_p, p.log_not_p);
  if (!is_threshold_) return beta_ * p.log_p;
  return p.log_p - p.log_not_p > threshold_ ? 0 : beta_ * log_floor_;
}

ClassRule ClassRule::negated(bool is_negated) const {
  ClassRule out = *this;
  out.is_negated_ = is_negated;
  return out;
}

std::string ClassRule::description(const std::string& class_name) const {
  const std::string p = fmt::format("p({}{})", is_negated_ ? "not " : "", class_name);
  return is_threshold_
             ? fmt::format("1 where {} is above log-odds {}, else exp({})", p, threshold_, beta_ * log_floor_)
             : fmt::format("{}^{}", p, beta_);
}

}  // namespace twistor::potential
