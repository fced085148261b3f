// SPDX-License-Identifier: Apache-2.0
// The prompts of prompt.file as work.
#pragma once

#include <vector>

#include "twistor/estimate/prompts.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {

/// In the order of the file; they point into the session. *Local.*
[[nodiscard]] std::vector<estimate::PromptTask> prompt_tasks(const run::Session& session);

/// What speaks of one target does not go with many. *Local.* Throws Error(config).
void require_prompts_alone(const run::Session& session);

}  // namespace twistor::app
