// SPDX-License-Identifier: Apache-2.0
// Numbers of many prompts as columns, for tables and for arrays in files.
#pragma once

#include <string>
#include <vector>

#include "evaluation_columns.hpp"

namespace twistor::report {

/// Sizes, the numbers of all samplers and costs, in a fixed order. *Local.*
[[nodiscard]] std::vector<NumberColumn> prompt_columns(const std::vector<PromptRow>& rows);

/// Means over the prompts with Student's t intervals, and the prompts on which the sampler that was asked for
/// is farthest from the target, as text for people. Empty without prompts. *Local.*
[[nodiscard]] std::string prompt_summary(const std::vector<PromptRow>& rows);

}  // namespace twistor::report
