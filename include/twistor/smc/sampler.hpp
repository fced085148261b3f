// SPDX-License-Identifier: Apache-2.0
// The SMC sweep: K particles over T tokens on all ranks of a group, plain or around one pinned path.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/prefill.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/smc/genealogy.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/smc/population.hpp"
#include "twistor/smc/proposal.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::smc {

/// Seconds and counts of one sweep on this rank; resamplings are the population's, on its first rank. Waiting
/// for the others, above all for the first to draw ancestors, counts as resampling.
struct SweepCounters {
  std::int64_t token_forwards = 0, rows_scored = 0, resamplings = 0, island_resamplings = 0, moved_copies = 0,
               sent_messages = 0, sent_bytes = 0;
  std::int64_t peak_live_blocks = 0, dense_blocks = 0;
  double forward_s = 0, heads_s = 0, resample_s = 0, potential_s = 0;

  /// See base/counters.hpp.
  template <class Visit>
  static void each_counter(Visit visit) {
    using C = SweepCounters;
    visit(CounterKind::sum, "token_forwards", &C::token_forwards);
    visit(CounterKind::sum, "rows_scored", &C::rows_scored);
    visit(CounterKind::sum, "resamplings", &C::resamplings);
    visit(CounterKind::sum, "island_resamplings", &C::island_resamplings);
    visit(CounterKind::sum, "moved_copies", &C::moved_copies);
    visit(CounterKind::sum, "sent_messages", &C::sent_messages);
    visit(CounterKind::sum, "sent_bytes", &C::sent_bytes);
    visit(CounterKind::max, "live_blocks_peak", &C::peak_live_blocks);
    visit(CounterKind::max, "dense_blocks_peak", &C::dense_blocks);
    visit(CounterKind::seconds, "forward_s", &C::forward_s);
    visit(CounterKind::seconds, "heads_s", &C::heads_s);
    visit(CounterKind::seconds, "resample_s", &C::resample_s);
    visit(CounterKind::seconds, "potential_s", &C::potential_s);
  }
};

/// Who follows whom.
struct Resampling {
  std::int64_t n_drawn = 0;                  ///< tokens that the particles had by then
  std::vector<std::int64_t> ancestor_of_id;  ///< (K)
};

/// One finished sweep. Arrays over particles are this rank's shard.
struct Sweep {
  explicit Sweep(Population start) : particles(std::move(start)) {}

  Population particles;         ///< tokens, log p0, log q, log psi; log_w since the last resampling
  std::vector<double> log_phi;  ///< (k)
  double log_z = 0;             ///< log Z_hat; the same bits on every rank; -inf if all weights vanish
  double log_weight_sum = 0;    ///< lse of the last weights over all particles
  double final_ess = 0;
  /// Of the whole population, at each reduction of the weights: before the draw of every token and at the end
  /// (T + 1) with resample_first and the twisted proposal, after the draw of every token (T) otherwise.
  std::vector<double> ess;
  std::vector<std::int64_t> unique_ancestors;  ///< with offspring, as `ess`; K where nothing is resampled
  std::int64_t n_founders = 0;                 ///< founders with descendants at the end
  std::vector<Resampling> resamplings;         ///< of the whole population, in order, if asked for
  double log_z_variance = 0;                   ///< genealogical estimate; NaN for K = 1 and with islands
  std::int64_t pinned_id = -1;                 ///< where the pinned path ended
  at::Tensor hidden;                           ///< (k, T, D) if asked for
  bool is_complete = true;  ///< false if a rank wished to stop: then nothing else here means anything
  SweepCounters counters;
};

/// What is sampled: p0 after a prompt, and phi.
struct Problem {
  const model::LanguageModel& lm;
  std::span<const std::int64_t> prompt;  ///< (L), L >= 1
  const potential::Potential& potential;
  /// The prompt as the model has read it. Sweeps and forced passes share its blocks; those of a problem
  /// without it read the prompt themselves, each anew.
  std::shared_ptr<const model::Prefill> start{};

  /// Whether `start` is what the model makes of the prompt now.
  [[nodiscard]] bool has_start() const { return start != nullptr && start->revision == lm.revision(); }
  /// The same problem with `start`. *Local*: one forward pass of the prompt, unless it has it.
  [[nodiscard]] Problem with_start() const {
    if (has_start()) return *this;
    return {lm, prompt, potential, std::make_shared<model::Prefill>(model::prefill(lm, prompt))};
  }
};

/// How a sweep around a pinned path resamples; the arguments are those of conditional_resample().
using ConditionalLaw = Resampled (*)(SchemeKind kind, std::span<const double> log_w, std::int64_t pinned,
                                     std::uint64_t seed, std::uint32_t step);

/// One sweep. *Collective over comm.* `pinned`, (T), turns it into conditional SMC (Zhao et al. 2024,
/// Prop. 5.1; Andrieu et al. 2010): one particle follows that path, the others resample by the scheme's
/// conditional form, or by `law`, with which tests show that a wrong one is caught. Throws Error(usage) when
/// the context is too short, Error(internal) when a weight is NaN.
[[nodiscard]] Sweep sweep(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
                          const comm::Communicator& comm,
                          std::optional<std::span<const std::int64_t>> pinned = std::nullopt,
                          ConditionalLaw law = conditional_resample);

}  // namespace twistor::smc
