// Learns twists by contrastive updates (CTL, Zhao et al. 2024, Sec. 4.1), the same bits on any number of
// ranks.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/comm/tree_reduce.hpp"
#include "twistor/estimate/log_z.hpp"
#include "twistor/learn/adam.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/head.hpp"

namespace twistor::learn {

/// What an update lowers.
enum class Objective {
  ctl,  ///< contrastive twist learning
};
[[nodiscard]] Objective objective_from_name(std::string_view name);  ///< throws Error(config)
[[nodiscard]] std::string_view objective_name(Objective objective);

/// Where positive samples come from.
enum class Positives {
  exact,     ///< exact samples of sigma
  weighted,  ///< samples of q with weights softmax(log p0 phi / q), the negatives' own batch
  both,      ///< half the weight each
};
[[nodiscard]] Positives positives_from_name(std::string_view name);  ///< throws Error(config)

struct TrainOptions {
  Objective objective = Objective::ctl;
  std::int64_t length = 1;           ///< T
  std::int64_t batch = 64;           ///< negative samples per update, all ranks together
  std::int64_t positive_batch = 64;  ///< exact positives per update
  Positives positives = Positives::exact;
  std::int64_t anneal = 0;        ///< first updates in which annealed_power() may lower phi's exponent
  double anneal_ess = 8;          ///< its least_ess
  std::int64_t inner_epochs = 1;  ///< steps of Adam on each batch; its weights follow the twist
  std::int64_t n_shards = 8;      ///< fixed parts of a batch; ranks own whole shards
  AdamOptions adam;
  std::uint64_t seed = 1;
};

/// Seconds of one update on this rank.
struct UpdateTimes {
  double sample_s = 0, positives_s = 0, gradient_s = 0, reduce_s = 0, step_s = 0;
  smc::SweepCounters sweep;
};

struct UpdateReport {
  double loss = 0;          ///< the contrastive objective, to be minimised; NaN if skipped
  double negative_ess = 0;  ///< effective negatives at T, of `batch`
  double log_z = 0;         ///< SIS estimate of log Z from the negatives' batch
  double power = 1;         ///< exponent of phi in the weights of positives
  double f_q = 0;           ///< mean of log(p0 phi / q) over the batch: log Z - KL(q || sigma), from below
  double log_phi = 0;       ///< mean of log phi over the batch
  bool is_skipped = false;  ///< no positive had weight: nothing was learned
  bool has_weighted_positives = false;  ///< some sample of q had phi > 0
  UpdateTimes times;
};

/// What an optimizer needs to go on, by parameter name.
struct TrainerState {
  std::int64_t update = 0;  ///< updates done
  std::int64_t adam_step = 0;
  std::string objective;  ///< name of what those updates lowered: its gradients are in the moments
  std::map<std::string, AdamMoments> moments;
};

/// Throws Error(config) if there are more ranks than shards. *Local.*
void require_shards(std::int64_t n_ranks, std::int64_t n_shards);

/// Owns the optimizer; changes the twist in place. Every rank holds the same twist at all times.
class Trainer {
 public:
  /// Throws Error(config) if there are more ranks than shards, or exact positives are asked for and there are
  /// none.
  Trainer(const smc::Problem& problem, twist::HeadTwist& twist, const TrainOptions& options,
          const estimate::ExactSource& exact, const comm::Communicator& world);

  /// One update: negatives from the twisted proposal without resampling, positives, gradient of each shard,
  /// sum in a fixed tree, Adam. *Collective over world.* Which samples it sees depends on (seed, update
  /// number) alone.
  UpdateReport update();

  [[nodiscard]] const TrainerState& state() const { return state_; }
  /// Goes on from a saved state; the twist's parameters must be set before. Throws Error(config) if it was
  /// learned with another objective, Error(data) on names that do not fit.
  void resume(TrainerState state);

 private:
  struct Items;
  /// A batch from the current twist's proposal, log phi annealed.
  [[nodiscard]] smc::Sweep sample(std::uint64_t seed, UpdateReport& report);
  void report_batch(const smc::Sweep& sweep, UpdateReport& report) const;
  /// Makes the batch's log psi that of the current twist.
  void rescore(smc::Sweep& sweep) const;
  /// One step of Adam on a batch whose log psi is up to date.
  void step(const smc::Sweep& sweep, std::uint64_t seed, UpdateReport& report);
  [[nodiscard]] Items negatives(const smc::Sweep& sweep, UpdateReport& report);
  void exact_positives(std::uint64_t seed, double share, Items& items, UpdateReport& report);
  void apply(const std::vector<float>& dense, const comm::RowSparse& rows);
  [[nodiscard]] const at::Tensor& positive_hidden(std::int64_t index,
                                                  const std::vector<std::int64_t>& tokens);

  const smc::Problem& problem_;
  twist::HeadTwist& twist_;
  TrainOptions options_;
  const estimate::ExactSource& exact_;
  const comm::Communicator& world_;
  TrainerState state_;
  std::unordered_map<std::int64_t, at::Tensor> hidden_of_exact_;  // (T, D), computed once while it fits
  std::int64_t kept_bytes_ = 0;
};

}  // namespace twistor::learn
