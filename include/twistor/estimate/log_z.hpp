// Two-sided bounds on log Z and KL divergences, from repeats of the samplers.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

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
