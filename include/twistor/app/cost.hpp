// What a run will cost, said before it begins: tokens through the model, and seconds by a short calibration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twistor/app/session.hpp"

namespace twistor::app {

/// One part of a run's work, all ranks together. Prefixes that particles share are counted as often as they
/// have particles, so this is an upper estimate.
struct Work {
  std::string what;            ///< "learning (200 updates)"
  std::int64_t sequences = 0;  ///< drawn or scored, each with one value of phi
  std::int64_t tokens = 0;     ///< through the language model
  bool is_limit = false;       ///< stops early, as soon as there is enough
};

/// The work of `train` from update `first_update` on, `evaluate` and `sample`. *Local.* `n_exact` samples are
/// there or come without draws; -1: they are drawn by rejection.
[[nodiscard]] std::vector<Work> work_of_training(const Config& config, std::int64_t first_update,
                                                 std::int64_t n_exact);
[[nodiscard]] std::vector<Work> work_of_evaluation(const Config& config, std::int64_t n_exact);
[[nodiscard]] std::vector<Work> work_of_sampling(const Config& config);

/// How fast this job is, all ranks together.
struct Speed {
  double tokens_per_s = 0;
  std::optional<double> phi_s;  ///< of one sequence, with all ranks at work; empty: not timed
};

/// A sweep of few particles over few tokens, and phi of its sequences, unless that is up to a program of
/// somebody else (the kind "process"), which may take its time. *Collective over the world.*
[[nodiscard]] Speed calibrate(const Session& session);

/// "estimated work: learning (200 updates) 153,600 tokens, 2 min; ...". *Local.*
[[nodiscard]] std::string cost_text(const std::vector<Work>& work, const Speed& speed);

/// Exact samples that come without draws of the base model; -1 if rejection makes them. *Local.*
[[nodiscard]] std::int64_t n_exact_without_draws(const Session& session);

/// calibrate() and log cost_text() on rank 0. *Collective over the world.*
void say_cost(const Session& session, const std::vector<Work>& work);

}  // namespace twistor::app
