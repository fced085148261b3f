// SPDX-License-Identifier: Apache-2.0
// The checkpoint that a run of learning goes on from, and those that it writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "twistor/estimate/history.hpp"
#include "twistor/learn/checkpoint.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/run/session.hpp"
#include "twistor/store/exact_samples.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::run {

/// checkpoint.h5 in run.output.
class TrainCheckpoint {
 public:
  /// The first rank reads it for all, and all look whether it fits. Replaces nothing. `session` must
  /// outlive this. *Collective over the world.*
  explicit TrainCheckpoint(const Session& session);

  /// Updates done by the run that is continued; 0 if there is none. Before resume().
  [[nodiscard]] std::int64_t n_updates() const { return found_ ? found_->state.update : 0; }

  /// Notes which exact samples learning draws from, if any. *Local.* Throws Error(config) if the run that is
  /// continued drew from others, whatever file, budget or seed they came from. Before resume().
  void note_samples(const store::ExactSamples& samples);

  /// The same of many prompts that are learned on, by their digest. Before resume().
  void note_prompts(const std::string& digest);

  /// Gives the trainer the state that was read, if any: then learning goes on, else it begins anew. Once.
  /// *Collective over world.*
  [[nodiscard]] estimate::History resume(learn::Trainer& trainer);

  /// Nothing if the state is saved already: an equal generation would push out the one before. Rank 0 writes
  /// what all ranks hold. *Collective over world.*
  void save(const twist::Trainable& twist, learn::Trainer& trainer, const estimate::History& evaluations);
  /// The twist as it is, beside it: best.h5. Likewise.
  void save_best(const twist::Trainable& twist, learn::Trainer& trainer,
                 const estimate::History& evaluations) const;

 private:
  [[nodiscard]] store::Checkpoint checkpoint_of(const twist::Trainable& twist, learn::Trainer& trainer,
                                                const estimate::History& evaluations) const;
  void put_aside() const;

  const Session& session_;
  std::filesystem::path file_;
  std::optional<learn::LoadedCheckpoint> found_;  // until resume() has taken it over
  std::int64_t saved_at_ = -1;                    // update of the newest
  bool has_said_size_ = false;
  std::string learned_samples_;  // digest
};

}  // namespace twistor::run
