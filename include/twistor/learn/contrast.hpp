// SPDX-License-Identifier: Apache-2.0
// Samples of q as samples of sigma and of the pi_t: self-normalised importance weights over all ranks.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/smc/population.hpp"

namespace twistor::learn {

/// What samples of q count as samples of the pi_t.
struct Negatives {
  std::vector<double> weight;  ///< (k, T) softmax_k(log p0 psi_t / q(s_{1:t})), with the learned psi_T at T
  double ess = 0;              ///< effective sample size at T, over all ranks
};

/// Of samples of q drawn without resampling. Softmaxes run over all ranks, reproducible. *Collective over
/// world.*
[[nodiscard]] Negatives negative_weights(const smc::Population& samples, const comm::Communicator& world);

/// What they count as samples of sigma: (k) softmax_k(log p0 phi / q), of `log_phi` (k). Nothing if phi is 0
/// for all samples of all ranks. *Collective over world.*
[[nodiscard]] std::optional<std::vector<double>> positive_weights(const smc::Population& samples,
                                                                  std::span<const double> log_phi,
                                                                  const comm::Communicator& world);

/// The power b in {0.05, 0.1, ..., 1} with which phi^b stands for phi in the weights of positives: the
/// largest for which the weights p0 phi^b / q have an effective sample size of least_ess, or where none has,
/// the one with the largest. *Collective over world.*
[[nodiscard]] double annealed_power(const smc::Population& samples, std::span<const double> log_phi,
                                    double least_ess, const comm::Communicator& world);

}  // namespace twistor::learn
