// SPDX-License-Identifier: Apache-2.0
// What a run will cost, said before it begins: tokens through the model, and seconds by a short calibration.
#pragma once

#include <cstdint>
#include <vector>

#include "twistor/estimate/grid.hpp"
#include "twistor/report/cost.hpp"
#include "twistor/run/session.hpp"

namespace twistor::run {

/// The work of `train` from update `first_update` on, `evaluate` and `sample`. *Local.* `n_exact` samples are
/// there or come without draws; -1: they are drawn by rejection.
[[nodiscard]] std::vector<report::Work> work_of_training(const Config& config, std::int64_t first_update,
                                                         std::int64_t n_exact);
[[nodiscard]] std::vector<report::Work> work_of_evaluation(const Config& config, std::int64_t n_exact);
/// Of so many samplers on a grid.
[[nodiscard]] std::vector<report::Work> work_of_grid(const Config& config, const estimate::Grid& grid,
                                                     std::size_t n_samplers, std::int64_t n_exact);
[[nodiscard]] std::vector<report::Work> work_of_sampling(const Config& config);

/// Exact samples that come without draws of the base model; -1 if rejection makes them. *Local.*
[[nodiscard]] std::int64_t n_exact_without_draws(const Session& session);

/// Measures the speed of this job, on the first of many prompts, and logs report::cost_text() on rank 0.
/// *Collective over the world.*
void say_cost(const Session& session, std::vector<report::Work> work);

}  // namespace twistor::run
