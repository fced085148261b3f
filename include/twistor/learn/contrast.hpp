// The weights of contrastive twist learning (CTL), Zhao et al. 2024, Sec. 4.1.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/smc/population.hpp"

namespace twistor::learn {

/// The loss is sum over particles k and steps t of weight[k, t] * log psi_t(k): negatives count
/// +softmax_k(log p0 psi_t / q(s_{1:t})) / T, with the learned psi_T at T, and positives among the same
/// samples count -share * softmax_k(log p0 phi / q) / T.
struct Contrast {
  std::vector<double> weight;  ///< (k, T) of the local particles
  double negative_ess = 0;     ///< effective sample size of the negatives at T, over all ranks
  bool has_positives = false;  ///< some phi weight is above zero (or share is 0)
};

/// Weights of samples of q drawn without resampling. `log_phi`: (k). Softmaxes run over all ranks,
/// order-free. *Collective over world.*
[[nodiscard]] Contrast contrastive_weights(const smc::Population& samples, std::span<const double> log_phi,
                                           double positive_share, const comm::Communicator& world);

/// The power b in {0.05, 0.1, ..., 1} with which phi^b stands for phi in the weights of positives: the
/// largest for which the weights p0 phi^b / q have an effective sample size of least_ess, or where none has,
/// the one with the largest. *Collective over world.*
[[nodiscard]] double annealed_power(const smc::Population& samples, std::span<const double> log_phi,
                                    double least_ess, const comm::Communicator& world);

}  // namespace twistor::learn
