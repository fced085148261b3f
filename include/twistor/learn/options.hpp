// SPDX-License-Identifier: Apache-2.0
// What learning can be told.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"
#include "twistor/learn/adam.hpp"
#include "twistor/learn/weighted_texts.hpp"

namespace twistor::learn {

/// Where positive samples come from, for objectives that have such.
enum class Positives {
  exact,        ///< exact samples of sigma
  weighted,     ///< samples of q with weights softmax(log p0 phi / q), from the batch that q gives anyway
  both,         ///< half the weight each
  smc,          ///< a population that the current twists have resampled, with its final weights
  conditional,  ///< the same around the last positive that is known
  automatic,    ///< as settle_positives() says
};
constexpr auto names_of(Positives) {
  return std::array{Named{Positives::exact, "exact"},
                    Named{Positives::weighted, "weighted"},
                    Named{Positives::both, "both"},
                    Named{Positives::smc, "smc"},
                    Named{Positives::conditional, "conditional"},
                    Named{Positives::automatic, "auto"}};
}

/// How ctl lowers psi at samples of pi_t.
enum class NegativeTokens {
  drawn,     ///< at the tokens that q drew
  expected,  ///< at all tokens, with their probabilities under q: the same mean with less noise
};
constexpr auto names_of(NegativeTokens) {
  return std::array{Named{NegativeTokens::drawn, "drawn"}, Named{NegativeTokens::expected, "expected"}};
}

/// What objectives are made of; each reads what it has use for.
struct ObjectiveOptions {
  std::int64_t batch = 64;           ///< samples of q per update, all ranks together
  std::int64_t positive_batch = 64;  ///< exact samples, or particles of smc and conditional, per update
  /// Of conditional twists: observations per update, which share both batches.
  std::int64_t observations = 16;
  /// Over many prompts: those of an update, which share the batches likewise.
  std::int64_t prompts_per_update = 1;
  bool is_of_observation = false;  ///< made by per_observation(), no key: there is one exact sample
  Positives positives = Positives::weighted;
  NegativeTokens negatives = NegativeTokens::drawn;
  /// Steps of the optimizer on each batch, whose weights follow the twist; 0: as many as the objective is
  /// known for.
  std::int64_t inner_epochs = 0;
  std::int64_t anneal = 0;            ///< first updates in which annealed_power() may lower phi's exponent
  double anneal_ess = 8;              ///< its least_ess
  double ppo_clip = 0.2;              ///< how far q may move from where it drew, and a value from what it was
  double ppo_lambda = 0.95;           ///< of generalised advantages
  double ppo_value_weight = 0.1;      ///< of the value's loss
  std::int64_t round_updates = 100;   ///< distill, avoid: updates that learn from one set of samples
  std::int64_t round_samples = 1024;  ///< of a set, all ranks together
  double holdout = 0;                 ///< distill: share of a set that nobody learns from, see Holdout
  double avoid_kl = 10;               ///< avoid: weight of KL(q || p0)
  double avoid_reward = 0;            ///< avoid: weight of E_q[log phi]
  [[nodiscard]] std::int64_t inner_epochs_or(std::int64_t usual) const {
    return inner_epochs > 0 ? inner_epochs : usual;
  }
  /// What each observation's part of an update is made of. Throws Error(config) if there is none.
  [[nodiscard]] ObjectiveOptions per_observation() const;
  /// What each prompt's part of an update is made of, once `positives` is settled. Throws likewise.
  [[nodiscard]] ObjectiveOptions per_prompt() const;
  void visit_keys(const config::Visitor& visit);
};

/// What the learning rate does after it has warmed up.
enum class Decay {
  none,    ///< stays
  linear,  ///< falls to 0 at the last update in a straight line
  cosine,  ///< falls to 0 along half a cosine
};
constexpr auto names_of(Decay) {
  return std::array{Named{Decay::none, "none"}, Named{Decay::linear, "linear"},
                    Named{Decay::cosine, "cosine"}};
}

/// Where shards' gradients are added. The first two give the same bits, on any number of ranks.
enum class GradientSums {
  in_main_memory,
  on_device,               ///< in the same fixed tree
  on_device_in_any_order,  ///< over ranks by one all-reduce, where nothing keeps the bits anyway
};

struct TrainOptions {
  std::int64_t length = 1;     ///< T
  std::int64_t n_shards = 8;   ///< fixed parts of a batch; ranks own whole shards
  std::int64_t n_updates = 1;  ///< in all, for decay
  AdamOptions adam = {};
  std::int64_t warm_up = 0;  ///< first updates, in which the learning rate rises in a straight line
  Decay decay = Decay::none;
  double clip_norm =
      0;  ///< longest gradient (Euclidean norm over all parameters); longer ones are cut; 0: any
  std::uint64_t seed = 1;
  /// A sequence of T tokens with phi > 0, which conditional positives begin with; empty: none is known.
  std::vector<std::int64_t> known_positive{};
  /// What the first round of distillation learns from; empty: it draws its own.
  GivenTexts first_round{};
  /// Elements from which on the ranks of a node divide a parameter's moments. No key: no bit depends on it.
  std::size_t divided_from = least_divided_moments;
  /// As the engine of twists demands; see run::Session::gradient_sums(). No key either.
  GradientSums sums = GradientSums::in_main_memory;
  /// Steps, shards and the positive; the rest belongs to a run.
  void visit_keys(const config::Visitor& visit);
};

/// The factor on the learning rate of the update that follows `update` others.
[[nodiscard]] double rate_factor(const TrainOptions& options, std::int64_t update);

}  // namespace twistor::learn
