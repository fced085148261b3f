// SPDX-License-Identifier: Apache-2.0
// The loop of learning: updates by epochs, with evaluations between them, checkpoints, and an early stop.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/learn/schedule.hpp"
#include "twistor/learn/trainer.hpp"

namespace twistor::learn {

struct Plan {
  std::vector<std::int64_t> epoch_ends;  ///< in updates, increasing; the last is where learning ends
  std::int64_t checkpoint_every = 0;     ///< updates; 0: when learning ends or is stopped, not before
  bool evaluate_epochs = true;           ///< evaluate before each epoch, not only at the end
  double most_seconds = 0;               ///< learning ends after the update that uses them up; 0: any
  std::int64_t most_samples = 0;         ///< likewise, Trainer::n_samples()
};

/// The plan of a run of so many updates.
[[nodiscard]] Plan make_plan(const CourseOptions& course, std::int64_t updates);

/// What is done beside learning, on every rank. Each may be empty; what they throw ends the loop.
struct Hooks {
  std::function<void(const UpdateReport& report, double seconds)> updated;
  /// The twist as it is. False: learning has come to its end and need not be evaluated again.
  std::function<bool()> evaluate;
  std::function<void()> save;  ///< the state as it is
};

/// Learns from where the trainer stands until the plan is done. An epoch that was begun before is not
/// evaluated again: a run that goes on does what the uninterrupted one does. The interrupt is asked after
/// every update; false if it ended learning before its time: then the state is saved and can be gone on from.
/// *Collective over the trainer's world.*
[[nodiscard]] bool train(Trainer& trainer, const Plan& plan, const Hooks& hooks,
                         const Interrupt& interrupt = {});

/// What to warn of where there are more ranks than shards; else empty. *Local.*
[[nodiscard]] std::string idle_ranks_notice(int n_ranks, std::int64_t n_shards);

}  // namespace twistor::learn
