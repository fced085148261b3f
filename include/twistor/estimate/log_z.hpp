// Two-sided bounds on log Z and KL divergences, from repeats of the samplers.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/statistics.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::estimate {

/// The exact samples of sigma that upper bounds and G_q need: sample(i) is (T) tokens; i is counted from 0.
struct ExactSource {
  std::int64_t n = 0;
  std::function<std::vector<std::int64_t>(std::int64_t)> sample;
};

struct BoundOptions {
  smc::SweepOptions sweep;    ///< seed: the run's; each repeat derives its own
  std::int64_t repeats = 10;  ///< independent runs of each estimator
  Steering steering{};        ///< looked at in every step and after each sweep
};

/// What one repeat gives. An upper bound is NaN without exact samples.
struct BoundRun {
  double sis_lower = std::numeric_limits<double>::quiet_NaN();
  double sis_upper = std::numeric_limits<double>::quiet_NaN();
  double smc_lower = std::numeric_limits<double>::quiet_NaN();
  double smc_upper = std::numeric_limits<double>::quiet_NaN();
  double variance = 0;      ///< the genealogical estimate, of the SMC lower run
  double final_ess = 0;     ///< likewise
  std::vector<double> ess;  ///< likewise, as Sweep::ess
  friend bool operator==(const BoundRun&, const BoundRun&) = default;
};

/// What one sample s of q gives.
struct ProposalSample {
  double ratio = 0;  ///< log p0 phi / q
  double log_phi = 0;
  double kl_q_p0 = 0;  ///< log q / p0
  friend bool operator==(const ProposalSample&, const ProposalSample&) = default;
};

/// All that the estimators have found so far, the same on every rank. Work that is given this resumes after
/// it and ends with the numbers of an uninterrupted run, on any number of ranks and under any grouping.
struct Findings {
  std::vector<BoundRun> repeats;  ///< 0, 1, ...
  std::vector<ProposalSample> q;  ///< of the proposal's samples 0, 1, ...
  std::vector<double> g;          ///< log p0 phi / q of the exact samples 0, 1, ...
  friend bool operator==(const Findings&, const Findings&) = default;
};

/// The sandwich. Lower bounds have E <= log Z, upper bounds E >= log Z (Zhao et al. 2024, Sec. 5 and
/// Prop. 5.1).
struct LogZBounds {
  Estimate sis_lower, sis_upper, smc_lower, smc_upper;
  bool has_upper = false;  ///< false without exact samples
  std::vector<double> sis_lower_runs, sis_upper_runs, smc_lower_runs, smc_upper_runs;  ///< by repeat
  double genealogical_variance = 0;  ///< mean over the lower runs of the single-run estimate
  double mean_final_ess = 0;         ///< of the SMC lower runs
  std::vector<double> mean_ess;      ///< as Sweep::ess, mean over the SMC lower runs
  smc::SweepCounters counters;       ///< of this rank
};

/// Runs every estimator `repeats` times; groups take turns, repeat i is group i mod n_groups's, and the
/// numbers do not depend on that. Upper run i pins exact sample i mod n. *Collective over world*, of which
/// groups are parts.
[[nodiscard]] LogZBounds bound_log_z(const smc::Problem& problem, const smc::Proposal& proposal,
                                     const BoundOptions& options, const ExactSource& exact,
                                     const comm::Communicator& world, const comm::Groups& groups);

/// The two halves of bound_log_z(): adds to `found` the repeats that it lacks, false if it was interrupted
/// before all were there (*collective over world*), and the bounds from all repeats (*local*).
[[nodiscard]] bool run_repeats(const smc::Problem& problem, const smc::Proposal& proposal,
                               const BoundOptions& options, const ExactSource& exact,
                               const comm::Communicator& world, const comm::Groups& groups, Findings& found,
                               smc::SweepCounters& counters);
[[nodiscard]] LogZBounds bounds_of(const Findings& found, bool has_upper);

/// F_q = E_q[log p0 phi / q] and G_q = E_sigma[the same] of the proposal without resampling, and what follows
/// from them.
struct ProposalKl {
  Estimate f_q, g_q;
  Estimate log_phi;  ///< E_q[log phi]; -inf where q can miss the target
  Estimate kl_q_p0;  ///< E_q[log q / p0]
  bool has_g = false;
};

/// `n` samples of q and of sigma, spread over all ranks. *Collective over world.*
[[nodiscard]] ProposalKl proposal_kl(const smc::Problem& problem, const smc::Proposal& proposal,
                                     std::int64_t length, std::int64_t n, std::uint64_t seed,
                                     const ExactSource& exact, const comm::Communicator& world);

struct SampleOptions {
  std::int64_t length = 1;  ///< T
  std::int64_t n = 1;       ///< samples of q, and of sigma as far as there are so many
  std::uint64_t seed = 1;   ///< the run's
  Steering steering{};      ///< looked at in every step and before each 256 samples
};

/// The two halves of proposal_kl(), as those of bound_log_z().
[[nodiscard]] bool run_samples(const smc::Problem& problem, const smc::Proposal& proposal,
                               const SampleOptions& options, const ExactSource& exact,
                               const comm::Communicator& world, Findings& found);
[[nodiscard]] ProposalKl proposal_kl_of(const Findings& found);

/// KL(q || sigma) = log Z - F_q, KL(sigma || q) = G_q - log Z and their sum. se as F_q's and G_q's: log Z is
/// taken as known.
struct KlFromLogZ {
  Estimate q_sigma, sigma_q, symmetrised;
};
[[nodiscard]] KlFromLogZ kl_from_log_z(const ProposalKl& kl, double log_z);

/// log Z for tables: exact where known, else the midpoint of the tighter sandwich, else the best lower bound.
[[nodiscard]] double best_log_z(const LogZBounds& bounds, double exact);

/// Hidden states before each token of given sequences, (n, T, D): what log q and the twist are read from.
/// *Local.* tokens: (n * T) row-major.
[[nodiscard]] at::Tensor hidden_states(const smc::Problem& problem, std::int64_t length,
                                       std::span<const std::int64_t> tokens);

/// log q, log p0, log psi of given sequences, (n * T) each, by the teacher-forced pass. *Local.*
struct ForcedPass {
  std::vector<double> log_q, log_p0, log_psi;
};
[[nodiscard]] ForcedPass forced_pass(const smc::Problem& problem, const smc::Proposal& proposal,
                                     std::int64_t length, std::span<const std::int64_t> tokens);

}  // namespace twistor::estimate
