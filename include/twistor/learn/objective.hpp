// SPDX-License-Identifier: Apache-2.0
// What an update of learning lowers: which samples it asks for, and what each of their steps counts.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/learn/rounds.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Where learning stands when an objective is asked for its terms.
struct Current {
  const smc::Problem& problem;
  const twist::Twist& twist;
  std::int64_t update = 0;  ///< updates done before this one
  /// What Objective::add_sums() has added up over all ranks, and over all observations where twists see them.
  std::span<const FixedPointSum> sums = {};
};

/// The loss as its derivatives, from which the trainer makes a gradient. Samples carry none. For each batch
/// (k, T) row-major, the local samples; an empty vector stands for zeros.
struct Terms {
  /// By the score that log psi_t of each sample's token comes from; under the identity link that is log psi_t
  /// itself.
  std::vector<std::vector<double>> on_score;
  /// By log q(s_t | s_{<t}) of the twisted proposal, for batches that asked for log q.
  std::vector<std::vector<double>> on_log_q = {};
  /// By the value of the state before each token, for batches that asked for it.
  std::vector<std::vector<double>> on_value = {};
  /// This rank's part of the loss. Empty: sum of on_score * log psi and on_log_q * log q, as for losses that
  /// are linear in them.
  std::optional<FixedPointSum> loss = {};
  /// What else is worth watching, for metrics.jsonl. The same on every rank.
  std::vector<std::pair<std::string, double>> numbers = {};
  /// Why there is nothing to learn from these samples, and what to do about it; empty if there is something.
  /// The same on every rank.
  std::string skipped = {};
};

/// One source in src/learn/objectives/ and one line in the table of src/learn/registry.cpp each. Holds
/// options alone: what changes from update to update is in `Current`.
class Objective {
 public:
  virtual ~Objective() = default;
  /// As in train.objective.
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Throws Error(config) where it cannot learn this target, with what to do. *Local.*
  virtual void check(const smc::Problem&) const {}
  /// The samples of every update, in the order in which terms() gets them.
  [[nodiscard]] virtual std::vector<Request> wants() const = 0;
  /// Steps of the optimizer with the same samples; before each, terms() sees them under the twist as it is
  /// then.
  [[nodiscard]] virtual std::int64_t inner_epochs() const { return 1; }
  /// Whether sweeps under its twists may resample. False where the loss fixes psi_t but for a factor
  /// c(s_{1:t-1}), which leaves the proposal alone and spoils the weights between steps.
  [[nodiscard]] virtual bool may_resample() const { return true; }
  /// How its twists make log psi of what is learned.
  [[nodiscard]] virtual twist::Link link() const { return twist::Link::identity; }
  /// Whether its loss has an end for twists that are normalised alone (twist::Trainable::is_normalised()).
  [[nodiscard]] virtual bool needs_ratio() const { return false; }
  /// Where it learns from Source::round: what its rounds are made of.
  [[nodiscard]] virtual std::optional<RoundPlan> rounds() const { return std::nullopt; }
  /// Whether it learns a value of states beside psi.
  [[nodiscard]] virtual bool has_value() const { return false; }
  /// What terms() must know of the whole batch, beyond the samples that it is given: that many sums. Where
  /// twists see observations, each is asked for its terms by itself, and this is what they share.
  [[nodiscard]] virtual std::int64_t n_sums() const { return 0; }
  /// Adds this rank's samples to them. *Local.*
  virtual void add_sums(std::span<const Batch>, const Current&, std::span<FixedPointSum>) const {}
  /// *Collective over world.* Sums over samples that decide anything run over all ranks and are reproducible.
  [[nodiscard]] virtual Terms terms(std::span<const Batch> batches, const Current& current,
                                    const comm::Communicator& world) const = 0;
};

}  // namespace twistor::learn
