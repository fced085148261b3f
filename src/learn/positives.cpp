// SPDX-License-Identifier: Apache-2.0
// Weights of positive samples.
#include "twistor/learn/positives.hpp"

#include <optional>

#include "twistor/learn/contrast.hpp"

namespace twistor::learn {

PositiveWeights PositiveSamples::weigh(const Batch& q, std::int64_t update,
                                       const comm::Communicator& world) const {
  PositiveWeights out = exact_alone();
  if (!has_weighted()) return out;
  if (update < options_.anneal) out.power = annealed_power(q.samples, q.log_phi, options_.anneal_ess, world);
  std::vector<double> log_phi = q.log_phi;
  for (double& value : log_phi) value *= out.power;
  if (auto found = positive_weights(q.samples, log_phi, world)) {
    out.exact_share = has_exact() ? 0.5 : 0.0;
    out.weighted = *std::move(found);
    for (double& weight : out.weighted) weight *= 1 - out.exact_share;
  } else if (!has_exact()) {
    out.skipped =
        "no sample of the proposal had phi > 0; use exact positives, a target.log_floor, or a larger "
        "train.batch";
  }
  return out;
}

PositiveWeights PositiveSamples::exact_alone() const {
  PositiveWeights out;
  out.exact_share = 1;
  return out;
}

double per_step(const Batch& batch, double share) {
  return share / static_cast<double>(batch.request.n * batch.samples.T);
}

double per_step_of(const Batch& batch, std::int64_t i, double share) {
  if (batch.weight.empty()) return per_step(batch, share);
  return share * batch.weight[static_cast<std::size_t>(i)] / static_cast<double>(batch.samples.T);
}

}  // namespace twistor::learn
