// SPDX-License-Identifier: Apache-2.0
// Learns twists: batches -> terms of the objective -> gradient -> Adam, the same bits on any number of ranks.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/base/names.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/learn/conditional.hpp"
#include "twistor/learn/holdout.hpp"
#include "twistor/learn/objective.hpp"
#include "twistor/learn/optimizer.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/learn/prompts.hpp"
#include "twistor/learn/state.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

class Islands;

/// Seconds of one update on this rank.
struct UpdateTimes {
  double sample_s = 0, positives_s = 0, gradient_s = 0, reduce_s = 0, step_s = 0;
  smc::SweepCounters sweep;

  /// See base/counters.hpp; those of the sweeps are counted by themselves.
  template <class Visit>
  static void each_counter(Visit visit) {
    visit(CounterKind::seconds, "sample_s", &UpdateTimes::sample_s);
    visit(CounterKind::seconds, "positives_s", &UpdateTimes::positives_s);
    visit(CounterKind::seconds, "gradient_s", &UpdateTimes::gradient_s);
    visit(CounterKind::seconds, "reduce_s", &UpdateTimes::reduce_s);
    visit(CounterKind::seconds, "step_s", &UpdateTimes::step_s);
  }
};

struct UpdateReport {
  double loss = std::numeric_limits<double>::quiet_NaN();  ///< before the update; NaN if skipped
  /// SIS estimate of log Z from the first batch of q or p0; NaN if there is none.
  double log_z = std::numeric_limits<double>::quiet_NaN();
  std::string skipped;  ///< as Terms::skipped: nothing was learned if it says something
  std::vector<std::pair<std::string, double>> numbers;  ///< means_of() q's batch, then Terms::numbers
  UpdateTimes times;
};

/// Owns the optimizer; changes the twist in place. Every rank holds the same twist at all times.
class Trainer {
 public:
  /// References must outlive it. Throws Error(config) if there are more ranks than shards, or the objective
  /// asks for exact samples and there are none.
  Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
          const TrainOptions& options, const exact::Source& exact, const comm::Communicator& world);
  /// Of a conditional twist, whose objective is made for one observation. `problem` is that of any of them.
  Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
          const TrainOptions& options, const Conditional& conditional, const comm::Communicator& world);
  /// Over many prompts, each update on the next of them by PromptOrder of options.seed; on several, the
  /// objective is made for one of them. `problem` is that of the first. `options.length` counts for none.
  /// Throws Error(config) if positives are those of one target, or an update has more prompts than there are.
  Trainer(const smc::Problem& problem, twist::Trainable& twist, std::unique_ptr<Objective> objective,
          const TrainOptions& options, const Prompts& prompts, const comm::Communicator& world);
  ~Trainer();

  /// One update: the objective's batches and terms, gradient of each shard, sum in a fixed tree, Adam. With
  /// texts that are held out (ObjectiveOptions::holdout) it may be the last of its round, whose other updates
  /// are left out then: they count as done.
  /// *Collective over world.* Which samples it sees depends on (seed, update number) and the twist alone.
  UpdateReport update();

  [[nodiscard]] const comm::Communicator& world() const { return world_; }
  /// Bytes of Adam's moments on this rank.
  [[nodiscard]] std::size_t moment_bytes() const { return optimizer_.bytes(); }
  /// Updates done.
  [[nodiscard]] std::int64_t n_updates() const { return update_; }
  /// Whether a round of distillation ends with the last of them.
  [[nodiscard]] bool is_round_over() const;
  /// Sequences drawn by sweeps for them, all ranks together.
  [[nodiscard]] std::int64_t n_samples() const { return n_samples_; }
  /// Seconds spent on learning, by add_seconds(); they travel with the state, there in whole milliseconds.
  [[nodiscard]] double seconds() const { return seconds_; }
  void add_seconds(double seconds) { seconds_ += seconds; }
  /// Saves or restores all that learning needs to go on: the twist's parameters too. What is saved is whole
  /// on the first rank of each node; others show no moments of parameters that the node divides. *Collective
  /// over world.* Throws Error(config) if what is restored was learned with another objective, and what the
  /// visitor throws.
  void visit_state(StateVisitor& visitor);

 private:
  /// Some sequences of a batch, with the derivatives that are theirs.
  struct Piece {
    const Batch& batch;
    const Terms& terms;
    std::size_t index;  ///< of the batch among those of the terms
    std::int64_t begin, end;
    std::span<const std::int64_t> observation;
  };
  void update_whole(const smc::Problem& problem, BatchSource& source, std::uint64_t seed,
                    UpdateReport& report);
  void update_prompt(std::uint64_t seed, UpdateReport& report);
  void update_islands(std::uint64_t seed, UpdateReport& report);
  [[nodiscard]] std::vector<Batch> draw(BatchSource& source, std::uint64_t seed, UpdateReport& report);
  void begin_round(std::uint64_t seed, UpdateReport& report);
  void check_round(UpdateReport& report);
  /// Zeros where there are no terms; what steps after the end of a text would teach psi moves to its end, and
  /// they teach nothing else. Fills in the loss where it is linear.
  void complete(Terms& terms, std::span<const Batch> batches) const;
  /// `pieces_of`: what a local shard consists of.
  void descend(const std::function<std::vector<Piece>(std::int64_t)>& pieces_of, UpdateReport& report);
  /// T of all of them; 1, of which any T is a multiple, where prompts differ: twists whose body reads whole
  /// texts do not learn on many prompts.
  [[nodiscard]] static std::int64_t common_length(std::span<const Piece> pieces);
  void shard_gradient(std::span<const Piece> pieces, const twist::GradientSink& sink) const;
  void clip(std::vector<twist::GradientBlock>& gradient, UpdateReport& report) const;
  void adam(const twist::GradientBlock& gradient);

  const smc::Problem& problem_;
  twist::Trainable& twist_;
  std::unique_ptr<Objective> objective_;
  TrainOptions options_;
  const comm::Communicator& world_;
  Shards shards_;
  BatchSource source_;
  Holdout holdout_;                   // of a round
  std::unique_ptr<Islands> islands_;  // of a conditional twist, or several prompts an update; else nullptr
  std::optional<Prompts> prompts_;    // where there are many
  std::optional<PromptOrder> order_;  // of them
  std::int64_t update_ = 0, adam_step_ = 0, n_samples_ = 0;
  double seconds_ = 0;
  Optimizer optimizer_;
};

}  // namespace twistor::learn
