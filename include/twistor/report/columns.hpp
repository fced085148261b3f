// SPDX-License-Identifier: Apache-2.0
// The evaluations of a run side by side, by the kind of what they measure.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "twistor/report/sink.hpp"

namespace twistor::report {

/// Where there is neither twist nor policy the base model is what was measured.
struct Columns {
  std::optional<estimate::Evaluation> base{}, before{};  ///< of the base model, before learning
  bool is_base_before = false;                           ///< both are `before`: learning started from psi = 1
  std::vector<NamedEvaluation> twists{}, policies{};
};

/// In the order base model (if it is there), twists, policies. *Local.*
[[nodiscard]] Columns columns_of(std::vector<NamedEvaluation> all, std::size_t n_twists,
                                 std::size_t n_policies);

/// Gives them one log Z and their places in `run`, which points into them. *Local.*
void arrange(Columns& columns, Run& run);

/// What rows come to: means over prompts by sampler, or over the seeds of the last K. *Local.*
[[nodiscard]] std::vector<NamedEvaluation> means_of(const std::vector<PromptRow>& rows);
[[nodiscard]] std::vector<NamedEvaluation> means_of(const std::vector<GridRow>& rows);

}  // namespace twistor::report
