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
#include "twistor/learn/batch.hpp"
#include "twistor/learn/options.hpp"

namespace twistor::learn {

/// Weights that stand for sigma; over all batches and ranks they add up to 1.
struct PositiveWeights {
  std::vector<double> weighted;  ///< (k) of the proposal's batch: share of softmax(log p0 phi^b / q)
  double exact_share = 0;        ///< of all exact samples together, which count alike
  double power = 1;              ///< b, see annealed_power()
  std::string skipped;           ///< as Terms::skipped: there are no positives at all
};

class PositiveSamples {
 public:
  explicit PositiveSamples(const ObjectiveOptions& options) : options_(options) {}

  [[nodiscard]] bool has_exact() const { return options_.positives != Positives::weighted; }
  [[nodiscard]] bool has_weighted() const { return options_.positives != Positives::exact; }
  /// For exact samples, if they are asked for.
  [[nodiscard]] Request exact_request() const { return {Source::exact, options_.positive_batch}; }

  /// `q`: a batch of the proposal, whose weights are wanted if has_weighted(). `update`: updates done before.
  /// Where no sample of q has phi > 0, exact ones carry the whole weight. *Collective over world.*
  [[nodiscard]] PositiveWeights weigh(const Batch& q, std::int64_t update,
                                      const comm::Communicator& world) const;
  /// The same where there are exact samples alone.
  [[nodiscard]] PositiveWeights exact_alone() const;

 private:
  ObjectiveOptions options_;
};

/// What one step of one of the batch's sequences counts where they count alike, share in all.
[[nodiscard]] double per_step(const Batch& batch, double share = 1);
/// The same of its local sequence i, by the batch's weights if it has some.
[[nodiscard]] double per_step_of(const Batch& batch, std::int64_t i, double share = 1);

}  // namespace twistor::learn
