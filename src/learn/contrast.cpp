// SPDX-License-Identifier: Apache-2.0
// Self-normalised importance weights.
#include "twistor/learn/contrast.hpp"

#include <cmath>

#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

double log_sum_over_ranks(std::span<const double> log_w, const comm::Communicator& world) {
  LogSum sum;
  for (const double w : log_w) sum.add(w);
  return comm::all_reduce(sum, world).log();
}

/// log p0 / q of whole sequences.
std::vector<double> log_ratios(const smc::Population& p) {
  std::vector<double> out(static_cast<std::size_t>(p.size()));
  for (std::size_t i = 0; i < out.size(); ++i)
    for (std::int64_t t = 0; t < p.T; ++t) {
      const std::size_t at = p.at(static_cast<std::int64_t>(i), t);
      out[i] += p.log_p0[at] - p.log_q[at];
    }
  return out;
}

}  // namespace

Negatives negative_weights(const smc::Population& p, const comm::Communicator& world) {
  const std::int64_t T = p.T, k = p.size();
  Negatives out;
  out.weight.resize(static_cast<std::size_t>(k * T));
  std::vector<double> log_ratio(static_cast<std::size_t>(k)),  // log p0 / q
      log_w(log_ratio.size());                                 // of s_{1:t}
  for (std::int64_t t = 0; t < T; ++t) {
    for (std::size_t i = 0; i < log_w.size(); ++i) {
      const std::size_t at = p.at(static_cast<std::int64_t>(i), t);
      log_ratio[i] += p.log_p0[at] - p.log_q[at];
      log_w[i] = log_ratio[i] + p.log_psi[at];
    }
    const double log_sum = log_sum_over_ranks(log_w, world);
    for (std::size_t i = 0; i < log_w.size(); ++i)
      out.weight[p.at(static_cast<std::int64_t>(i), t)] = std::exp(log_w[i] - log_sum);
  }
  WeightSums last;
  for (const double w : log_w) last.add(w);
  out.ess = comm::all_reduce(last, world).ess();
  return out;
}

std::optional<std::vector<double>> positive_weights(const smc::Population& p, std::span<const double> log_phi,
                                                    const comm::Communicator& world) {
  std::vector<double> log_w = log_ratios(p);
  for (std::size_t i = 0; i < log_w.size(); ++i) log_w[i] += log_phi[i];
  const double log_sum = log_sum_over_ranks(log_w, world);
  if (log_sum == log_zero) return std::nullopt;
  for (double& w : log_w) w = std::exp(w - log_sum);
  return log_w;
}

double annealed_power(const smc::Population& p, std::span<const double> log_phi, double least_ess,
                      const comm::Communicator& world) {
  constexpr int n_powers = 20;
  const std::vector<double> log_ratio = log_ratios(p);
  double best_power = 1, best_ess = 0;
  for (int i = n_powers; i > 0; --i) {
    const double power = static_cast<double>(i) / n_powers;
    WeightSums sums;
    for (std::size_t k = 0; k < log_ratio.size(); ++k) sums.add(log_ratio[k] + power * log_phi[k]);
    const double ess = comm::all_reduce(sums, world).ess();
    if (ess >= least_ess) return power;
    if (ess > best_ess) {
      best_ess = ess;
      best_power = power;
    }
  }
  return best_power;
}

}  // namespace twistor::learn
