// SPDX-License-Identifier: Apache-2.0
// Rounds of self-distillation: the updates of one learn from the same weighted samples of sigma, which the
// model as it was at the round's beginning has drawn.
#pragma once

#include <cstdint>
#include <string>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/weighted_texts.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::learn {

/// What an objective that learns in rounds asks for.
struct RoundPlan {
  std::int64_t updates = 1;  ///< of one round
  std::int64_t samples = 1;  ///< that are drawn for it, all ranks together
  bool is_of_base = false;   ///< they are draws of p0, not of the model that learns
  std::int64_t anneal = 0;   ///< first updates whose rounds may have weights p0 phi^b / q,
  double anneal_ess = 0;     ///< with b as annealed_power() finds it for so many
  double holdout = 0;        ///< share of the texts that nobody learns from: see Holdout
};

/// What a round begins with.
struct NewRound {
  WeightedTexts texts;  ///< those with phi > 0
  double log_z = 0;     ///< log Z_hat of all; -inf if none has phi > 0
};

/// Draws the samples of the round that begins after `update` updates. The same on every rank. *Collective
/// over world.*
[[nodiscard]] NewRound draw_round(const RoundPlan& plan, const smc::Problem& problem, std::int64_t length,
                                  const twist::Twist& twist, std::int64_t update, std::uint64_t seed,
                                  const comm::Communicator& world, smc::SweepCounters& counters);

/// Throws Error(data) unless these are samples of this problem's target: of T tokens that the model has, with
/// the log phi that they have here, and one of them with a weight. *Local.*
void check_given(const GivenTexts& given, const smc::Problem& problem, std::int64_t length);

}  // namespace twistor::learn
