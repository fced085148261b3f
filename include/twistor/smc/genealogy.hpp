// SPDX-License-Identifier: Apache-2.0
// Where the particles come from: founders, survivors, and what they tell about the variance of log Z_hat.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/smc/scheme.hpp"

namespace twistor::smc {

/// Follows one population through its resamplings. *Local*; the first rank keeps it for all.
class Genealogy {
 public:
  /// K < 2^31 particles, each its own founder.
  explicit Genealogy(std::int64_t K);

  /// To be told after every resampling. ancestor_of_id, // (K) int64; `ess` is 1 / sum W^2 of the weights it
  /// was drawn from.
  void resampled(SchemeKind kind, std::span<const std::int64_t> ancestor_of_id, double ess);

  [[nodiscard]] std::int64_t n_resamplings() const noexcept {
    return static_cast<std::int64_t>(n_survivors_.size());
  }
  /// (K) the founder of each particle's line ("eve index", Chan and Lai 2013).
  [[nodiscard]] std::span<const std::int32_t> eves() const noexcept { return eves_; }
  /// How many founders still have descendants. O(K).
  [[nodiscard]] std::int64_t n_founders() const;
  /// Particles with offspring, for each resampling so far.
  [[nodiscard]] std::span<const std::int64_t> n_survivors() const noexcept { return n_survivors_; }

  /// Estimates Var(Z_hat) / Z^2, and so the variance of log Z_hat, from this one sweep (Chan and Lai 2013;
  /// Lee and Whiteley 2018). log_w, // (K) float64, the weights since the last resampling in global order; W
  /// are they normalised:
  ///   V = 1 - c_0 c_1 ... c_n * sum over pairs i, j with different founders of W_i W_j
  ///     = 1 - c_0 c_1 ... c_n * (1 - sum_e (sum of W over the descendants of e)^2).
  /// c_0 = K / (K - 1) for the first draw. A multinomial resampling counts K / (K - 1) too; if all n are at
  /// fixed steps, E[Z_hat^2 V] = Var(Z_hat) exactly, with ESS triggers V is consistent. The other schemes let
  /// fewer lines meet, so that this factor would be far too large (V below 0); they count (1 - sum W^2) / (1
  /// - sum (offspring / K)^2), which is K / (K - 1) on average for multinomial: the ratio of pairs before to
  /// pairs after. For them V is an approximation: on tabular chains within 0.7 to 1.5 of the truth, mostly
  /// 0.9 to 1.1, but much too small where stratified resampling acts on nearly equal weights. Can be
  /// negative. NaN if K = 1 or if all weights are -inf.
  [[nodiscard]] double log_z_variance(std::span<const double> log_w) const;

 private:
  std::vector<std::int32_t> eves_;     // 4 bytes for each particle
  std::vector<std::int32_t> scratch_;  // the same
  std::vector<std::int64_t> n_survivors_;
  double log_factor_;  // log(c_0 c_1 ...)
};

/// How many particles of each generation have descendants among the last one; result[0] counts founders.
/// `history` holds the (K) ancestors of each resampling in order; the result is one longer and ends with K.
/// O(K) per resampling.
[[nodiscard]] std::vector<std::int64_t> unique_ancestors(std::int64_t K,
                                                         std::span<const std::vector<std::int64_t>> history);

}  // namespace twistor::smc
