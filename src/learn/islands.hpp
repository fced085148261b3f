// SPDX-License-Identifier: Apache-2.0
// Updates on several problems at once: an island for each, whole on one rank.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/learn/conditional.hpp"
#include "twistor/learn/objective.hpp"
#include "twistor/learn/prompts.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/smc/islands.hpp"

namespace twistor::learn {

/// For learning on many prompts, whose positives are samples of q or populations.
inline const exact::Source& no_exact_samples() {
  static const exact::Source none{};
  return none;
}

/// One problem, that of an observation or of a prompt, and its batches.
struct Island {
  std::vector<std::int64_t> sample, observation;  ///< an exact sample of sigma given the observation
  std::uint64_t seed = 0;
  std::unique_ptr<smc::GivenProblem> given;        ///< of an observation
  std::unique_ptr<smc::PromptedProblem> prompted;  ///< of a prompt
  std::vector<Batch> batches;
  Terms terms;
  [[nodiscard]] const smc::Problem& problem() const {
    return given != nullptr ? given->problem() : prompted->problem();
  }
};

/// Island i of n belongs to the shard that sample i of a batch of n would belong to, so which rank computes
/// it changes nothing.
class Islands {
 public:
  /// `world` must outlive it.
  Islands(std::int64_t n, const Shards& shards, const comm::Communicator& world)
      : n_(n), shards_(shards), world_(world) {}
  Islands(const Islands&) = delete;
  Islands& operator=(const Islands&) = delete;
  virtual ~Islands() = default;

  /// On all ranks together.
  [[nodiscard]] std::int64_t n() const { return n_; }
  /// Draws problems and batches anew, for the update that follows `update` others. *Local.*
  virtual void draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
                    std::int64_t update, UpdateTimes& times) = 0;
  /// Makes batches those of a twist that has changed. *Local.*
  virtual void rescore(const twist::Trainable& twist) = 0;

  /// What all islands together say. The same on every rank.
  struct Summary {
    double log_z = 0;  ///< means over islands
    double loss = 0;
    std::vector<std::pair<std::string, double>> numbers;
    std::string skipped;  ///< if all of them are
  };
  /// Asks the objective about every island; `complete` fills in what its terms leave open. The terms of an
  /// island count 1 / n, and nothing where there is nothing to learn. *Collective over world.*
  template <class Complete>
  [[nodiscard]] Summary terms(const Objective& objective, const twist::Trainable& twist, std::int64_t update,
                              const Complete& complete) {
    const std::vector<FixedPointSum> sums = sums_of_all(objective, twist, update);
    for (Island& island : mine_) {
      ask(island, objective, {island.problem(), twist, update, sums});
      complete(island.terms, island.batches);
    }
    return summarise();
  }

  /// Those of local shard s.
  [[nodiscard]] std::span<const Island> of_shard(std::int64_t s) const;

 protected:
  /// Numbers of this rank's.
  [[nodiscard]] std::vector<std::int64_t> indices() const;

  std::int64_t n_;
  Shards shards_;
  const comm::Communicator& world_;
  comm::Communicator self_ = comm::Communicator::self();
  std::vector<Island> mine_;

 private:
  [[nodiscard]] std::vector<FixedPointSum> sums_of_all(const Objective& objective,
                                                       const twist::Trainable& twist,
                                                       std::int64_t update) const;
  void ask(Island& island, const Objective& objective, const Current& current) const;
  [[nodiscard]] Summary summarise();
  using Numbers = std::vector<std::pair<std::string, double>>;
  /// The names of all islands' numbers, by commas, and why the first is skipped if all are; the same on every
  /// rank. *Collective over world.*
  [[nodiscard]] std::pair<std::string, std::string> what_is_told(const std::vector<Numbers>& numbers) const;
};

/// One for each observation that is drawn. References must outlive it.
class ConditionalIslands final : public Islands {
 public:
  ConditionalIslands(const Conditional& conditional, std::int64_t length, const Shards& shards,
                     const comm::Communicator& world)
      : Islands(conditional.observations, shards, world), conditional_(conditional), length_(length) {}

  void draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
            std::int64_t update, UpdateTimes& times) override;
  void rescore(const twist::Trainable& twist) override;

 private:
  /// What all islands of this rank draw goes through the model together.
  [[nodiscard]] std::vector<smc::Sweep> sweep(const Request& request, const smc::SweepOptions& options,
                                              const smc::Problem& together, const twist::Trainable& twist,
                                              const std::function<smc::Island(const Island&)>& island_of,
                                              smc::SweepCounters& counters) const;
  void draw_samples(const Request& request, std::int64_t number, const smc::GivenProblem& together,
                    const twist::Trainable& twist, smc::SweepCounters& counters);
  void expand(const Request& request, const smc::GivenProblem& together, const twist::Trainable& twist,
              bool may_resample, smc::SweepCounters& counters);
  [[nodiscard]] BatchSource source_of(const Island& island, const exact::Source& exact) const;

  Conditional conditional_;
  std::int64_t length_;
};

/// One for each of the prompts whose turn it is; they differ in length, so each passes through the model by
/// itself. References must outlive it.
class PromptIslands final : public Islands {
 public:
  PromptIslands(const Prompts& prompts, std::uint64_t seed, const Shards& shards,
                const comm::Communicator& world)
      : Islands(prompts.per_update, shards, world), prompts_(prompts), order_(seed, prompts.all.size()) {}

  void draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
            std::int64_t update, UpdateTimes& times) override;
  void rescore(const twist::Trainable& twist) override;

 private:
  [[nodiscard]] BatchSource source_of(const Island& island, std::int64_t length, bool may_resample) const;

  Prompts prompts_;
  PromptOrder order_;
};

}  // namespace twistor::learn
