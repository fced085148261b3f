// SPDX-License-Identifier: Apache-2.0
// What runs of the estimators give, before anything is averaged: it can be kept, and work goes on from it.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace twistor::estimate {

/// What one repeat gives. An upper bound is NaN without exact samples.
struct BoundRun {
  double sis_lower = std::numeric_limits<double>::quiet_NaN();
  double sis_upper = std::numeric_limits<double>::quiet_NaN();
  double smc_lower = std::numeric_limits<double>::quiet_NaN();
  double smc_upper = std::numeric_limits<double>::quiet_NaN();
  /// The genealogical estimate of the variance of log Z_hat, of the SMC lower run; NaN where it is none.
  double variance = std::numeric_limits<double>::quiet_NaN();
  double final_ess = 0;           ///< likewise
  std::vector<double> ess;        ///< likewise, as Sweep::ess
  double founders = 0;            ///< likewise, as Sweep::n_founders
  std::vector<double> survivors;  ///< likewise, as Sweep::unique_ancestors: as long as `ess`
  friend bool operator==(const BoundRun& a, const BoundRun& b);  ///< NaN equals NaN
};

/// Steps at which psi is held against what follows: a quarter, half, three quarters, and all of T. // (4)
inline constexpr std::size_t n_psi_steps = 4;
[[nodiscard]] std::array<std::int64_t, n_psi_steps> psi_steps(std::int64_t T);

/// What one sample s of q gives.
struct ProposalSample {
  double ratio = 0;  ///< log p0 phi / q
  double log_phi = 0;
  double kl_q_p0 = 0;      ///< log q / p0
  double log_q_error = 0;  ///< |log q while sampling - log q of the same tokens by the teacher-forced pass|
  std::array<double, n_psi_steps> log_psi{};  ///< log psi_t(s_{1:t}) at psi_steps()
  /// log of phi(s) p0(s_{t+1:T}) / q(s_{t+1:T}) there, whose mean given s_{1:t} is psi*_t(s_{1:t}).
  std::array<double, n_psi_steps> log_future{};
  friend bool operator==(const ProposalSample&, const ProposalSample&) = default;
};

/// Sums over all V^T sequences, in the place of estimates from samples.
struct ExactDivergences {
  double f_q = 0;      ///< E_q[log p0 phi / q]; -inf where q draws what phi forbids
  double g_q = 0;      ///< E_sigma[log p0 phi / q]
  double log_phi = 0;  ///< E_q[log phi]
  double kl_q_p0 = 0;
  double mass = 0;         ///< sum of q, 1 but for rounding
  double n_sequences = 0;  ///< with p0 > 0
  friend bool operator==(const ExactDivergences&, const ExactDivergences&) = default;
};

/// All that the estimators have found so far, the same on every rank. Work that is given this resumes after
/// it and ends with the numbers of an uninterrupted run, on any number of ranks and under any grouping.
struct Findings {
  std::vector<BoundRun> repeats;  ///< 0, 1, ...
  std::vector<ProposalSample> q;  ///< of the proposal's samples 0, 1, ...
  std::vector<double> g;          ///< log p0 phi / q of the exact samples 0, 1, ...
  /// What enumeration of q gives, where the target is enumerated; see exact_divergences.hpp.
  std::optional<ExactDivergences> exact;
  friend bool operator==(const Findings&, const Findings&) = default;
};

/// One repeat as numbers, for other ranks, and back.
[[nodiscard]] std::vector<double> to_numbers(const BoundRun& run);
[[nodiscard]] BoundRun run_from_numbers(std::span<const double> numbers);

/// As numbers, for a file, and back; no numbers are no findings. *Local.* Throws Error(data) if their number
/// is not what the first of them say.
[[nodiscard]] std::vector<double> to_numbers(const Findings& found);
[[nodiscard]] Findings findings_from_numbers(std::span<const double> numbers);

/// One member of all rows.
template <class Row>
[[nodiscard]] std::vector<double> column(const std::vector<Row>& rows, double Row::*member) {
  std::vector<double> out;
  for (const Row& row : rows) out.push_back(row.*member);
  return out;
}

}  // namespace twistor::estimate
