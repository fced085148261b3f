// SPDX-License-Identifier: Apache-2.0
// Texts of a round that nobody learns from: they tell when its updates begin to learn the others by heart.
#pragma once

#include <cstdint>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/state.hpp"
#include "twistor/learn/weighted_texts.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Every rank has all of it.
class Holdout {
 public:
  /// Checks of a round, the first before its first update; after `patience` of them that are no better than
  /// the best the round ends.
  static constexpr std::int64_t checks = 10, patience = 2;

  /// Moves about `share` of the texts here; none where one of the two sides would count nothing. Each is a
  /// draw by itself, so that a text which comes often may be on both sides, as it is often in sigma. *Local.*
  void begin(WeightedTexts& texts, std::int64_t length, double share, std::uint64_t seed);

  /// Whether there are any.
  [[nodiscard]] bool is_active() const { return texts_.size() > 0; }
  /// Whether a check is due when `done` of a round's `updates` are done.
  [[nodiscard]] static bool is_due(std::int64_t done, std::int64_t updates);
  /// Scores the twist: the mean over the texts, by weight, of log q / p0. Notes it, and its parameters if
  /// they are the best so far. False: the round should end. The same on every number of ranks. *Collective
  /// over world.*
  bool check(const smc::Problem& problem, const twist::Trainable& twist, std::int64_t length,
             const comm::Communicator& world);
  /// Of the last check.
  [[nodiscard]] double score() const { return score_; }
  /// Gives the twist the best parameters, if it has others, and ends the round. *Local.*
  void end(twist::Trainable& twist);

  /// See Trainer::visit_state().
  void visit_state(StateVisitor& visitor, const twist::Trainable& twist);

 private:
  [[nodiscard]] double score_of(const smc::Problem& problem, const twist::Trainable& twist,
                                std::int64_t length, const comm::Communicator& world) const;

  WeightedTexts texts_;
  double score_ = 0, best_score_ = 0;
  std::int64_t n_checks_ = 0, n_worse_ = 0;  ///< since the best
  std::vector<std::vector<float>> best_;     ///< by parameter
};

}  // namespace twistor::learn
