// SPDX-License-Identifier: Apache-2.0
// Epochs, and the keys of a run's course.
#include "twistor/learn/schedule.hpp"

#include <algorithm>

#include "twistor/config/make_key.hpp"

namespace twistor::learn {

std::vector<std::int64_t> epoch_ends(Schedule schedule, std::int64_t n_updates, std::int64_t n_epochs) {
  std::vector<std::int64_t> ends;
  if (schedule == Schedule::doubling) {
    for (std::int64_t end = 2; end < n_updates; end *= 2) ends.push_back(end);
  } else {
    for (std::int64_t epoch = 1; epoch < n_epochs; ++epoch) {
      const std::int64_t end = n_updates / n_epochs * epoch + std::min(epoch, n_updates % n_epochs);
      if (end > (ends.empty() ? 0 : ends.back()) && end < n_updates) ends.push_back(end);
    }
  }
  ends.push_back(n_updates);
  return ends;
}

bool CourseOptions::evaluates_prompts(bool is_last_update) const {
  const bool has_epochs = epochs > 1 || schedule == Schedule::doubling;
  return keep == Keep::best || (has_epochs && !is_last_update);
}

std::int64_t CourseOptions::n_evaluations(std::int64_t updates, std::int64_t done) const {
  std::int64_t n = 1;  // at the end
  if (!evaluate) return n;
  std::int64_t begin = 0;
  for (const std::int64_t end : epoch_ends(schedule, updates, epochs)) {
    n += begin >= done && begin < updates ? 1 : 0;
    begin = end;
  }
  return n;
}

void CourseOptions::visit_keys(const config::Visitor& visit) {
  using config::count_from, config::key;
  visit(key("schedule", "lengths of epochs"), config::Choice(schedule));
  visit(key("epochs", "schedule = fixed: number of epochs", {1, 1000000}), &epochs);
  visit(key("checkpoint_every", "updates between checkpoints, 0: only at the end", count_from(0)),
        &checkpoint_every);
  visit(key("evaluate", "evaluate before each epoch and at the end"), &evaluate);
  visit(key("start", "checkpoint whose twist learning starts from, empty: a fresh twist"), &start);
  visit(
      key("round_file", "distill, avoid: what `sample` wrote, for the first round; empty: it draws its own"),
      &round_file);
  visit(key("max_seconds", "learning ends after so many, 0: never", config::non_negative), &max_seconds);
  visit(key("max_samples", "learning ends after so many drawn sequences, 0: never", count_from(0)),
        &max_samples);
  visit(key("keep", "which of the evaluated twists the run ends with"), config::Choice(keep));
  visit(key("patience", "keep = best: evaluations without a better one that end learning, 0: never",
            count_from(0)),
        &patience);
}

}  // namespace twistor::learn
