// SPDX-License-Identifier: Apache-2.0
// The samples that an update learns from: where they come from, and how they are divided over the ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/learn/kept_hidden.hpp"
#include "twistor/learn/weighted_texts.hpp"
#include "twistor/smc/population.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

enum class Source {
  proposal,     ///< q, the twist-induced proposal, without resampling
  base,         ///< p0
  exact,        ///< exact samples of sigma, with replacement from those that there are
  reroll,       ///< the same up to a token chosen at random, and from there on drawn anew from p0
  smc,          ///< a population of the twist-induced proposal that was resampled, with its final weights
  conditional,  ///< the same around a pinned path, the last positive that is known; smc where none is
  round,        ///< the weighted samples that a round keeps (learn/rounds.hpp), each as often as it counts
};
/// Whether samples count as Batch::weight says.
[[nodiscard]] constexpr bool is_population(Source source) {
  return source == Source::smc || source == Source::conditional;
}

struct Request {
  Source source = Source::proposal;
  std::int64_t n = 1;        ///< sequences, all ranks together
  bool needs_log_q = false;  ///< see Batch::log_q; costs a pass over the vocabulary where q did not draw them
  bool needs_value = false;  ///< see Batch::value
};

/// What a sweep of the source draws from.
[[nodiscard]] smc::ProposalKind proposal_kind(Source source);

/// What a request brings; arrays are this rank's part of it.
struct Batch {
  Request request;
  /// Tokens and log psi under the current twist (once a text has ended psi stays what it was). log q is that
  /// of drawing them, and stays so; exact samples have none. log p0 is known where log q is, in either sense.
  smc::Population samples;
  std::vector<double> log_phi;  ///< (k); empty for exact samples
  /// (k) of a reroll: the step from which on what follows is a draw of p0, so that phi tells of the prefix.
  /// Empty: all steps.
  std::vector<std::int64_t> first_step = {};
  std::vector<at::Tensor> hidden;  ///< (k) times (T, D): the states before each token
  /// (k) what each sample counts as one of sigma, 1 over all ranks together; empty: all alike. Of a
  /// population it is 0 for all if phi is; with it goes the effective sample size, which is that of the whole
  /// set for samples of a round (0: phi is 0 for all, and the tokens mean nothing).
  std::vector<double> weight = {};
  double weight_ess = 0;
  /// (k, T) log q of the twisted proposal under the current twist, if asked for.
  std::vector<double> log_q = {};
  /// (k, T) of the states before each token, if asked for: now, and when the samples were drawn.
  std::vector<double> value = {}, drawn_value = {};
  /// log Z_hat of all ranks' samples; NaN for exact ones and around a pinned path.
  double log_z = 0;
  std::int64_t revision = 0;  ///< of the model that gave the hidden states
};

/// log sum_v p0(v | s_{<t}) psi_t(s_{<t}, v), (k, T): what psi_{t-1} is worth by the twist of one token
/// later. For batches that asked for log q. *Local.*
[[nodiscard]] std::vector<double> log_next_psi(const Batch& batch);

/// What a batch of the proposal tells about it: f_q, the mean of log(p0 phi / q), which is log Z - KL(q ||
/// sigma) on average, and log_phi, the mean of log phi. Both are -inf if phi is 0 for a sample.
struct BatchMeans {
  double f_q = 0, log_phi = 0;
};
/// The same bits on every number of ranks. *Collective over world.*
[[nodiscard]] BatchMeans means_of(const Batch& batch, const comm::Communicator& world);

/// Which parts of a batch a rank holds: [n s / S, n (s + 1) / S) is shard s of S, whoever computes it.
struct Shards {
  std::int64_t first = 0, n_local = 0, n_all = 1;
  /// Those of this rank; none where there are more ranks than shards and this is one too many. *Local.*
  Shards(std::int64_t n_shards, const comm::Communicator& world);
  /// The first of this rank's sequences among those of a batch of n.
  [[nodiscard]] std::int64_t begin_of_rank(std::int64_t n) const { return n * first / n_all; }
  /// Where local shard i of a batch of n begins among this rank's sequences; i = n_local: where the last
  /// ends.
  [[nodiscard]] std::int64_t begin(std::int64_t n, std::int64_t i) const {
    return n * (first + i) / n_all - n * first / n_all;
  }
};

/// How populations are drawn.
struct PopulationOptions {
  bool resamples = true;              ///< where twists may be resampled: when half of the weight is lost
  std::vector<std::int64_t> known{};  ///< (T) a positive that is known, or nothing
};

/// Draws batches. Hidden states of exact samples, `kept_bytes` at most, are kept for later batches. Which
/// samples they hold depends on the seed, and those of Source::conditional on the path that is pinned.
/// References must outlive it.
class BatchSource {
 public:
  BatchSource(const smc::Problem& problem, std::int64_t length, const Shards& shards,
              const exact::Source& exact, const comm::Communicator& world, PopulationOptions population = {},
              std::int64_t kept_bytes = KeptHidden::usual_bytes);

  /// The n-th request of the same kind in an update is `number` n. *Collective over world.*
  [[nodiscard]] Batch draw(const Request& request, std::int64_t number, const twist::Trainable& twist,
                           std::uint64_t seed, smc::SweepCounters& counters);
  /// As draw() of exact samples, where there is one: more than one particle are it and what conditional SMC
  /// around it gives, with final weights, which are samples of sigma on average whatever the twist (Andrieu
  /// et al. 2010). Resampled in every step, or never. *Collective over world.*
  [[nodiscard]] Batch expand(const Request& request, const twist::Trainable& twist, bool may_resample,
                             std::uint64_t seed, smc::SweepCounters& counters);
  /// What draw() of q or p0 and expand() sweep with, but for seeds.
  [[nodiscard]] smc::SweepOptions sweep_options(const Request& request) const;
  [[nodiscard]] smc::SweepOptions expand_options(const Request& request, bool may_resample) const;
  /// What draw() makes of a sweep, and expand() of one around the exact sample: for those who make many
  /// sweeps at once. hidden: (n, T, D) of its sequences. *Local.*
  [[nodiscard]] Batch of_sweep(const Request& request, smc::Sweep sweep, const twist::Trainable& twist) const;
  [[nodiscard]] Batch of_expanded(const Request& request, smc::Sweep sweep, const at::Tensor& hidden,
                                  const twist::Trainable& twist) const;
  /// Exact samples that are known with their hidden states, (n, T, D). *Local.*
  [[nodiscard]] Batch of_exact(const Request& request, std::vector<std::int64_t> tokens,
                               const at::Tensor& hidden, const twist::Trainable& twist) const;
  /// Makes what depends on the twist, log psi, log_q and value, that of one that has changed. *Local.*
  void rescore(Batch& batch, const twist::Trainable& twist) const;

  /// (T) the path to which the next conditional sweep will be pinned, drawn from the last one's weights
  /// (particle Gibbs); empty as long as no positive is known. Part of the state of learning.
  [[nodiscard]] std::vector<std::int64_t>& pinned() { return population_.known; }
  /// What Source::round draws from; empty before the first round. Part of the state of learning.
  [[nodiscard]] WeightedTexts& round() { return round_; }

 private:
  [[nodiscard]] Batch sweep(const Request& request, std::int64_t number, const twist::Trainable& twist,
                            std::uint64_t seed, smc::SweepCounters& counters) const;
  [[nodiscard]] Batch population(const Request& request, std::int64_t number, const twist::Trainable& twist,
                                 std::uint64_t seed, smc::SweepCounters& counters);
  [[nodiscard]] Batch exact_samples(const Request& request, std::int64_t number, std::uint64_t seed);
  [[nodiscard]] Batch reroll(const Request& request, std::uint64_t seed) const;
  [[nodiscard]] Batch of_round(const Request& request, std::int64_t number, std::uint64_t seed) const;
  /// Numbers of this rank's sequences in a batch, and of the exact samples chosen for them.
  struct Choice {
    std::vector<std::int64_t> ids, indices;
  };
  [[nodiscard]] Choice choose(const Request& request, std::int64_t number, std::uint64_t seed) const;
  void score_part(Batch& batch, std::int64_t begin, std::int64_t end, const twist::Trainable& twist) const;
  /// (T, D) each, of the samples of those numbers.
  [[nodiscard]] std::vector<at::Tensor> hidden_of_exact(std::span<const std::int64_t> indices,
                                                        std::span<const std::int64_t> tokens);

  const smc::Problem& problem_;
  std::int64_t length_;
  Shards shards_;
  const exact::Source& exact_;
  const comm::Communicator& world_;
  PopulationOptions population_;
  WeightedTexts round_;
  KeptHidden kept_;  // (T, D) of exact samples
};

}  // namespace twistor::learn
