// SPDX-License-Identifier: Apache-2.0
// Self-normalised importance weights.
#include "twistor/learn/contrast.hpp"

#include <array>
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
  if (T == 0) return out;
  std::vector<double> log_ratio(static_cast<std::size_t>(k));  // log p0 / q
  std::vector<LogSum> sums(static_cast<std::size_t>(T) + 1);   // at each step; squares at the last
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t i = 0; i < k; ++i) {
      const std::size_t at = p.at(i, t);
      double& ratio = log_ratio[static_cast<std::size_t>(i)];
      ratio += p.log_p0[at] - p.log_q[at];
      out.weight[at] = ratio + p.log_psi[at];  // its logarithm still
      sums[static_cast<std::size_t>(t)].add(out.weight[at]);
      if (t + 1 == T) sums.back().add(2 * out.weight[at]);
    }
  comm::all_reduce(std::span(sums), world);
  out.ess = WeightSums{sums[static_cast<std::size_t>(T) - 1], sums.back()}.ess();
  for (std::int64_t t = 0; t < T; ++t) {
    const double log_sum = sums[static_cast<std::size_t>(t)].log();
    for (std::int64_t i = 0; i < k; ++i) out.weight[p.at(i, t)] = std::exp(out.weight[p.at(i, t)] - log_sum);
  }
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
  constexpr std::size_t n_powers = 20;
  const std::vector<double> log_ratio = log_ratios(p);
  std::array<WeightSums, n_powers> sums;
  const auto power_of = [](std::size_t i) {
    return static_cast<double>(i + 1) / static_cast<double>(n_powers);
  };
  for (std::size_t i = 0; i < n_powers; ++i)
    for (std::size_t k = 0; k < log_ratio.size(); ++k) sums[i].add(log_ratio[k] + power_of(i) * log_phi[k]);
  comm::all_reduce(std::span(sums), world);
  double best_power = 1, best_ess = 0;
  for (std::size_t i = n_powers; i-- > 0;) {
    const double ess = sums[i].ess();
    if (ess >= least_ess) return power_of(i);
    if (ess > best_ess) {
      best_ess = ess;
      best_power = power_of(i);
    }
  }
  return best_power;
}

}  // namespace twistor::learn
