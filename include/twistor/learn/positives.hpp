// SPDX-License-Identifier: Apache-2.0
// Positive samples: which there are, and what each of them counts. Objectives that need samples of sigma
// share this.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/learn/options.hpp"

namespace twistor::learn {

/// Weights that stand for sigma; over all batches and ranks they add up to 1.
struct PositiveWeights {
  std::vector<double> weighted;  ///< (k) of the proposal's batch: share of softmax(log p0 phi^b / q)
  double exact_share = 0;        ///< of all exact samples together, which count alike
  double power = 1;              ///< b, see annealed_power()
  /// Of the population's weights (Batch::weight); 0 where there is none.
  double population_ess = 0;
  std::string skipped;  ///< as Terms::skipped: there are no positives at all

  /// (k) what one step of each of that batch's sequences counts as a positive: 0 for those of q if they are
  /// none.
  [[nodiscard]] std::vector<double> per_step(const Batch& batch) const;
  /// (k, T) the derivatives of - sum W mean_t x_t by each x_t, W being the weights of positives.
  [[nodiscard]] std::vector<double> of_likelihood(const Batch& batch) const;
  /// What is worth watching, for Terms::numbers.
  [[nodiscard]] std::vector<std::pair<std::string, double>> numbers() const;
};

class PositiveSamples {
 public:
  explicit PositiveSamples(const ObjectiveOptions& options) : options_(options) {}

  /// Whether samples of q are positives, too.
  [[nodiscard]] bool has_weighted() const {
    return options_.positives == Positives::weighted || options_.positives == Positives::both;
  }
  /// For positives that are not samples of q: exact ones, or a population. None or one.
  [[nodiscard]] std::vector<Request> own_requests() const;
  /// For all positives: samples of q if has_weighted(), then own_requests().
  [[nodiscard]] std::vector<Request> requests() const;

  /// `batches` of an objective that asks for own_requests(), and for samples of q if has_weighted().
  /// `update`: updates done before. Where no sample of q has phi > 0, exact ones carry the whole weight.
  /// *Collective over world.*
  [[nodiscard]] PositiveWeights weigh(std::span<const Batch> batches, std::int64_t update,
                                      const comm::Communicator& world) const;

 private:
  [[nodiscard]] bool has_exact() const {
    return options_.positives == Positives::exact || options_.positives == Positives::both;
  }

  ObjectiveOptions options_;
};

/// Whether half of the exact samples are there to learn from, where there are n: conditional and auto take
/// what there is, and leave a single one to estimates. *Local.*
[[nodiscard]] bool learns_from_exact(Positives positives, std::int64_t n = 2);

/// What train.positives = auto looks at.
struct PositiveFacts {
  std::int64_t n_exact = 0;     ///< exact samples that learning may use
  bool is_one_known = false;    ///< train.positive_ids is given
  std::int64_t n_drawn = 0;     ///< samples of p0 that were tried,
  std::int64_t n_positive = 0;  ///< those of them with phi > 0,
  double ess = 0;               ///< and the effective sample size of their weights phi
};

/// What `auto` stands for, and why, in words for the log and the summary.
struct PositiveChoice {
  Positives positives = Positives::automatic;
  bool anneals = false;  ///< phi^b, with b rising to 1 in the first half of the updates
  std::string why;
};
/// The rule, in this order: as many exact samples as an update asks for: exact. Fewer, or one sequence that
/// is known: conditional, from it. phi > 0 for all samples of p0: weighted, with annealing, which does
/// nothing where they weigh alike. An effective size of them of train.anneal_ess: weighted. Else conditional,
/// from the first positive that is found. Pure.
[[nodiscard]] PositiveChoice choose_positives(const PositiveFacts& facts, const ObjectiveOptions& options);

/// train.positives as it is, or what `auto` stands for here.
struct SettledPositives {
  ObjectiveOptions options;
  TrainOptions train;  ///< with a positive that was found, if none was known
  std::string why;     ///< empty where nothing was to be settled
};
/// Draws samples of p0 where the rule asks for them. The same on every rank. *Collective over world.*
[[nodiscard]] SettledPositives settle_positives(const ObjectiveOptions& options, const TrainOptions& train,
                                                const exact::Target& target, std::int64_t n_exact,
                                                const comm::Communicator& world);

/// Sets to 0 what (k, T) numbers say of steps after the end of their text: for the likelihood under q, which
/// is 1 there whatever q has learned. *Local.*
void forget_after_end(const Batch& batch, const model::EndRule& rule, std::vector<double>& numbers);

/// What one step of one of the batch's sequences counts where they count alike, share in all.
[[nodiscard]] double per_step(const Batch& batch, double share = 1);
/// The same of its local sequence i, by the batch's weights if it has some.
[[nodiscard]] double per_step_of(const Batch& batch, std::int64_t i, double share = 1);

}  // namespace twistor::learn
