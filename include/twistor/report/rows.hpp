// SPDX-License-Identifier: Apache-2.0
// Rows of tables from what estimators found.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "twistor/estimate/grid.hpp"
#include "twistor/estimate/prompts.hpp"
#include "twistor/report/sample_file.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::report {

/// A row for each prompt. *Local.*
[[nodiscard]] std::vector<PromptRow> prompt_rows(std::span<const estimate::PromptTask> tasks,
                                                 std::span<const estimate::PromptSampler> samplers,
                                                 const std::vector<estimate::PromptFindings>& found);

/// A row for each point of the grid, likewise. *Local.*
[[nodiscard]] std::vector<GridRow> grid_rows(const estimate::Grid& grid,
                                             std::span<const estimate::Sampler> samplers,
                                             const std::vector<std::vector<estimate::Evaluation>>& found);

/// Draws of each prompt as lines of a file; `decode` gives the text of tokens, and is empty without a
/// tokenizer. *Local.*
[[nodiscard]] std::vector<SampleGroup> sample_groups(
    std::span<const estimate::PromptTask> tasks, const std::vector<estimate::Draws>& draws,
    const SampleOptions& options, const std::function<std::string(std::span<const std::int64_t>)>& decode);

}  // namespace twistor::report
