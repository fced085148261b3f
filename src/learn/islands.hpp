// SPDX-License-Identifier: Apache-2.0
// The islands of a conditional update: one for each observation, whole on one rank.
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
#include "twistor/learn/trainer.hpp"
#include "twistor/smc/islands.hpp"

namespace twistor::learn {

/// One observation, an exact sample of sigma given it, and the batches of its problem.
struct Island {
  std::vector<std::int64_t> sample, observation;
  std::uint64_t seed = 0;
  std::unique_ptr<smc::GivenProblem> given;
  std::vector<Batch> batches;
  Terms terms;
};

/// Island i of m belongs to the shard that sample i of a batch of m would belong to, so which rank computes
/// it changes nothing.
class Islands {
 public:
  /// References must outlive it.
  Islands(const Conditional& conditional, std::int64_t length, const Shards& shards,
          const comm::Communicator& world)
      : conditional_(conditional), length_(length), shards_(shards), world_(world) {}

  /// Draws pairs and batches anew. *Local.*
  void draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
            UpdateTimes& times);
  /// Makes batches those of a twist that has changed. *Local.*
  void rescore(const twist::Trainable& twist);

  /// What all islands together say. The same on every rank.
  struct Summary {
    double log_z = 0;  ///< means over islands
    double loss = 0;
    std::vector<std::pair<std::string, double>> numbers;
    std::string skipped;  ///< if all of them are
  };
  /// Asks the objective about every island; `complete` fills in what its terms leave open. The terms of an
  /// island count 1 / m, and nothing where there is nothing to learn. *Collective over world.*
  template <class Complete>
  [[nodiscard]] Summary terms(const Objective& objective, const twist::Trainable& twist, std::int64_t update,
                              const Complete& complete) {
    const std::vector<FixedPointSum> sums = sums_of_all(objective, twist, update);
    for (Island& island : mine_) {
      ask(island, objective, {island.given->problem(), twist, update, sums});
      complete(island.terms, island.batches);
    }
    return summarise();
  }

  /// Those of local shard s.
  [[nodiscard]] std::span<const Island> of_shard(std::int64_t s) const;

 private:
  [[nodiscard]] std::vector<FixedPointSum> sums_of_all(const Objective& objective,
                                                       const twist::Trainable& twist,
                                                       std::int64_t update) const;
  void ask(Island& island, const Objective& objective, const Current& current) const;
  [[nodiscard]] Summary summarise();
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
  Shards shards_;
  const comm::Communicator& world_;
  comm::Communicator self_ = comm::Communicator::self();
  std::vector<Island> mine_;
};

}  // namespace twistor::learn
