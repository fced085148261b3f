// SPDX-License-Identifier: Apache-2.0
// What the samples of a batch are worth.
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/learn/batch.hpp"

namespace twistor::learn {

BatchMeans means_of(const Batch& batch, const comm::Communicator& world) {
  const smc::Population& p = batch.samples;
  FixedPointSum sums[2];
  std::int64_t n_zero = 0;  // samples with phi = 0
  for (std::int64_t i = 0; i < p.size(); ++i) {
    const double log_phi = batch.log_phi[static_cast<std::size_t>(i)];
    n_zero += log_phi == log_zero ? 1 : 0;
    if (log_phi == log_zero) continue;
    double log_ratio = log_phi;
    for (std::int64_t t = 0; t < p.T; ++t) log_ratio += p.log_p0[p.at(i, t)] - p.log_q[p.at(i, t)];
    sums[0].add(log_ratio);
    sums[1].add(log_phi);
  }
  comm::all_reduce(std::span(sums), world);
  const bool has_zero = comm::all_reduce_sum(n_zero, world) > 0;
  const auto mean = [&](const FixedPointSum& sum) {
    return has_zero ? log_zero : sum.value() / static_cast<double>(batch.request.n);
  };
  return {mean(sums[0]), mean(sums[1])};
}

std::vector<double> log_next_psi(const Batch& batch) {
  const smc::Population& p = batch.samples;
  TWISTOR_ASSERT(batch.log_q.size() == p.tokens.size(), "a batch has log q where it asked for it");
  std::vector<double> out(batch.log_q.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = p.log_p0[i] + p.log_psi[i] - batch.log_q[i];
  return out;
}

}  // namespace twistor::learn
