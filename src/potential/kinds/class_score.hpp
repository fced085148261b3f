// SPDX-License-Identifier: Apache-2.0
// From the logits of a classifier with labels to log phi: which class is meant, and its probability.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "class_rule.hpp"
#include "twistor/potential/options.hpp"

namespace twistor::potential {

/// Goes through the log-odds log(p / (1 - p)) of the class: of one logit that is the logit itself, of several
/// the logit less the log-sum-exp of the others. So nothing is lost where p is close to 0 or 1.
class ClassScore {
 public:
  /// Reads `class_name` (a label, or its number from 0; may be empty where there is one label) and what
  /// ClassRule reads. is_multi_label: each logit has a sigmoid of its own. Throws Error(config), listing the
  /// labels where none fits.
  ClassScore(const PotentialOptions& options, const std::vector<std::string>& labels, bool is_multi_label,
             const std::string& doing);

  /// logits: (C).
  [[nodiscard]] double log_phi(std::span<const double> logits) const;
  /// (n) of logits (n, C).
  [[nodiscard]] std::vector<double> log_phi_of_rows(std::span<const double> logits) const;
  [[nodiscard]] double log_phi_bound() const { return rule_.log_phi_bound(); }
  /// "p(positive)^2".
  [[nodiscard]] std::string description() const { return rule_.description(labels_[index_]); }

  /// Of which every text has exactly one: the labels, or the only label and its absence. 0 where phi is not
  /// the probability of one of them.
  [[nodiscard]] std::int64_t n_classes() const;
  /// The number of the one that phi is the probability of; empty where there is none.
  [[nodiscard]] std::vector<std::int64_t> observation() const;
  /// The probability of another of them.
  [[nodiscard]] ClassScore of_class(std::int64_t number) const;

 private:
  ClassRule rule_;
  std::vector<std::string> labels_;
  bool is_multi_label_;
  std::size_t index_ = 0;
};

}  // namespace twistor::potential
