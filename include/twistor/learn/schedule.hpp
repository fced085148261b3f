// SPDX-License-Identifier: Apache-2.0
// When a run of learning ends and what it does on the way.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"

namespace twistor::learn {

enum class Schedule {
  fixed,     ///< so many epochs, as equal as possible
  doubling,  ///< 2, 4, 8, ... updates (Zhao et al. 2024, app. on training: epoch e has 2^e, epoch 0 has 2)
};
constexpr auto names_of(Schedule) {
  return std::array{Named{Schedule::fixed, "fixed"}, Named{Schedule::doubling, "doubling"}};
}

/// Numbers of updates after which epochs end, increasing, the last being `n_updates`. `n_epochs` counts for
/// fixed ones alone.
[[nodiscard]] std::vector<std::int64_t> epoch_ends(Schedule schedule, std::int64_t n_updates,
                                                   std::int64_t n_epochs);

/// Which of the twists that were evaluated a run ends with.
enum class Keep { last, best };
constexpr auto names_of(Keep) {
  return std::array{Named{Keep::last, "last"}, Named{Keep::best, "best"}};
}

/// The keys train.* of a run's course.
struct CourseOptions {
  Schedule schedule = Schedule::fixed;
  std::int64_t epochs = 1;             ///< for schedule = fixed
  std::int64_t checkpoint_every = 50;  ///< updates; 0: only at the end
  bool evaluate = true;                ///< before each epoch and at the end
  std::string start;                   ///< checkpoint whose twist learning starts from; empty: a fresh one
  std::string round_file;              ///< samples that a first round learns from; empty: it draws its own
  double max_seconds = 0;              ///< as Plan::most_seconds
  std::int64_t max_samples = 0;        ///< as Plan::most_samples
  Keep keep = Keep::last;
  std::int64_t patience = 0;  ///< keep = best: evaluations without a better one that end learning; 0: never
  /// Whether many prompts are evaluated now and not only once learning has ended: to keep the best twist, or
  /// between epochs.
  [[nodiscard]] bool evaluates_prompts(bool is_last_update) const;
  /// Evaluations that are still to come after `done` of `updates` updates.
  [[nodiscard]] std::int64_t n_evaluations(std::int64_t updates, std::int64_t done) const;
  void visit_keys(const config::Visitor& visit);
};

}  // namespace twistor::learn
