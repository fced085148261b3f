// SPDX-License-Identifier: Apache-2.0
// One prompt after another: its problem, then its draws.
#include "twistor/estimate/prompt_draws.hpp"

#include <algorithm>
#include <iterator>

#include "twistor/base/philox.hpp"
#include "twistor/smc/prompted.hpp"

namespace twistor::estimate {

std::optional<std::vector<Draws>> draw_prompts(std::span<const PromptTask> tasks,
                                               const PromptSampler& sampler,
                                               const potential::Potential& potential,
                                               const PromptDrawOptions& options,
                                               const comm::Communicator& world, const comm::Groups& groups,
                                               Pieces& found) {
  TWISTOR_ASSERT(!tasks.empty(), "there are prompts");
  const comm::Groups alone = comm::make_groups(groups.group, 0);
  std::vector<double> costs;
  for (const PromptTask& task : tasks)
    costs.push_back(static_cast<double>(task.prompt.size()) +
                    static_cast<double>(task.length) * static_cast<double>(options.each.sweep.particles));
  const auto work = [&](std::int64_t i, const Steering& steering) -> std::optional<std::vector<double>> {
    const PromptTask& task = tasks[static_cast<std::size_t>(i)];
    const smc::PromptedProblem prompted(sampler.lm, task.prompt, potential);
    DrawOptions each = options.each;
    each.sweep.seed = derive_seed(options.each.sweep.seed, Stream::prompt, task.key);
    each.sweep.length = task.length;
    each.sweep.trigger = sampler.trigger.value_or(each.sweep.trigger);
    const smc::Proposal proposal(prompted.problem().lm, sampler.twist, options.proposal);
    const Draws draws = draw_sequences(prompted.problem(), proposal, each, alone.group, alone, {}, steering);
    if (draws.n_done() < each.n_populations()) return std::nullopt;
    return to_numbers(draws);
  };
  if (!deal_out({"prompts", costs, work, options.save}, world, groups, options.steering, found))
    return std::nullopt;
  std::vector<Draws> out;
  for (const auto& [i, numbers] : found) out.push_back(draws_from_numbers(numbers));
  return out;
}

void require_some(const std::vector<Draws>& draws) {
  Draws all;
  for (const Draws& one : draws) std::ranges::copy(one.populations, std::back_inserter(all.populations));
  require_some(all);
}

}  // namespace twistor::estimate
