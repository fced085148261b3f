// SPDX-License-Identifier: Apache-2.0
// The evaluations of a run of learning that outlast it, and which of them is the best.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "twistor/estimate/evaluation.hpp"

namespace twistor::estimate {

/// Travels in checkpoints, because a run that goes on does not repeat them.
struct History {
  std::optional<Evaluation> base;   ///< of psi = 1, where learning starts elsewhere
  std::optional<Evaluation> first;  ///< before the first update
  std::optional<Evaluation> best;   ///< with the tightest bounds, once note() was asked
  std::int64_t n_worse = 0;         ///< evaluations since then
  std::vector<Evaluation> rounds;   ///< after each round of distillation, by update

  /// Whether `e` is the best so far, by distance_from_target(); then it is `best`, else one more is worse.
  /// One of the best's own update changes nothing: a run that goes on makes it once more. *Local.*
  bool note(const Evaluation& e);
  /// Keeps one of a round's end; a run that goes on may make it once more. *Local.*
  void note_round(const Evaluation& e);
  /// What to say where learning ends after that update, because no evaluation of the last `patience` was
  /// better than the best; empty where it goes on. *Local.*
  [[nodiscard]] std::string why_it_ends(std::int64_t update, std::int64_t patience) const;
};

/// to_numbers() of each, and back. *Local.*
[[nodiscard]] std::map<std::string, double> to_numbers(const History& history);
[[nodiscard]] History history_from_numbers(const std::map<std::string, double>& numbers);

}  // namespace twistor::estimate
