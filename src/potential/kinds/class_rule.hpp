// SPDX-License-Identifier: Apache-2.0
// How phi follows from a classifier's probability of a class: a power of it, or a threshold.
#pragma once

#include <string>

#include "twistor/potential/option_values.hpp"
#include "twistor/potential/options.hpp"

namespace twistor::potential {

/// log p and log (1 - p) of a class, each computed without cancellation.
struct ClassLogProb {
  double log_p = 0;
  double log_not_p = 0;

  /// p = sigmoid(logit).
  [[nodiscard]] static ClassLogProb from_logit(double logit);
};

/// With p the probability of the class, or of its absence if negated:
///   probability  phi = p^beta
///   threshold    phi = 1 if log (p / (1 - p)) > threshold, else exp(beta log_floor)
/// The second with threshold 5 and log_floor log 1e-16 is the toxicity threshold of Zhao et al. 2024, Sec. 6.
class ClassRule {
 public:
  /// Reads `rule`, `negate`, `threshold`, `log_floor` and `beta`. Throws Error(config) on an unknown rule,
  /// beta <= 0, a floor above 0, and on threshold or log_floor where the rule does not read them.
  ClassRule(const PotentialOptions& options, const std::string& doing);

  [[nodiscard]] double log_phi(ClassLogProb p) const;
  /// Whether phi is the probability of the class or of its absence itself.
  [[nodiscard]] bool is_probability() const { return !is_threshold_ && beta_ == 1; }
  [[nodiscard]] bool is_negated() const { return is_negated_; }
  /// The same rule for the class, or for its absence.
  [[nodiscard]] ClassRule negated(bool is_negated) const;
  /// Of any class and text: no probability exceeds 1.
  [[nodiscard]] double log_phi_bound() const { return 0; }
  /// "p(not toxic)^2", "p(toxic) above log-odds 5".
  [[nodiscard]] std::string description(const std::string& class_name) const;

 private:
  bool is_threshold_;
  bool is_negated_;
  double threshold_;
  double log_floor_;
  double beta_;
};

}  // namespace twistor::potential
