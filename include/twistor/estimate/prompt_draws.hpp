// SPDX-License-Identifier: Apache-2.0
// Draws from the targets of many prompts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/deal.hpp"
#include "twistor/estimate/draws.hpp"
#include "twistor/estimate/prompts.hpp"

namespace twistor::estimate {

struct PromptDrawOptions {
  DrawOptions each;  ///< of each prompt, whose seed and length are its own
  smc::ProposalOptions proposal{};
  Steering steering{};
  std::function<void(const Pieces&)> save{};
};

/// What draw_sequences() gives for each of the prompts; goes on from `found`. Groups take prompts
/// (deal_out()), and the ranks of a group work on one together. Nothing if it was interrupted. *Collective
/// over world*, of which groups are parts.
[[nodiscard]] std::optional<std::vector<Draws>> draw_prompts(std::span<const PromptTask> tasks,
                                                             const PromptSampler& sampler,
                                                             const potential::Potential& potential,
                                                             const PromptDrawOptions& options,
                                                             const comm::Communicator& world,
                                                             const comm::Groups& groups, Pieces& found);

/// Throws Error(data) that says what to do if every population of every prompt is dead. *Local.*
void require_some(const std::vector<Draws>& draws);

}  // namespace twistor::estimate
