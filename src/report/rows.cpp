// SPDX-License-Identifier: Apache-2.0
// Findings with names.
#include "twistor/report/rows.hpp"

#include <cstddef>

namespace twistor::report {
namespace {

template <class Samplers>
std::vector<NamedEvaluation> named(const Samplers& samplers,
                                   const std::vector<estimate::Evaluation>& evaluations) {
  std::vector<NamedEvaluation> out;
  for (std::size_t s = 0; s < samplers.size(); ++s) out.push_back({samplers[s].name, evaluations[s]});
  return out;
}

}  // namespace

std::vector<PromptRow> prompt_rows(std::span<const estimate::PromptTask> tasks,
                                   std::span<const estimate::PromptSampler> samplers,
                                   const std::vector<estimate::PromptFindings>& found) {
  std::vector<PromptRow> rows;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const estimate::PromptTask& task = tasks[i];
    rows.push_back({task.id,
                    task.text,
                    {task.prompt.begin(), task.prompt.end()},
                    task.length,
                    named(samplers, found[i].evaluations),
                    found[i].n_exact,
                    found[i].n_draws,
                    found[i].n_sequences});
  }
  return rows;
}

std::vector<GridRow> grid_rows(const estimate::Grid& grid, std::span<const estimate::Sampler> samplers,
                               const std::vector<std::vector<estimate::Evaluation>>& found) {
  std::vector<GridRow> rows;
  for (std::size_t p = 0; p < found.size(); ++p)
    rows.push_back({grid.particles[p / grid.seeds.size()], grid.seeds[p % grid.seeds.size()],
                    named(samplers, found[p])});
  return rows;
}

std::vector<SampleGroup> sample_groups(
    std::span<const estimate::PromptTask> tasks, const std::vector<estimate::Draws>& draws,
    const SampleOptions& options, const std::function<std::string(std::span<const std::int64_t>)>& decode) {
  std::vector<SampleGroup> groups;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const estimate::PromptTask& task = tasks[i];
    std::vector<std::string> texts;
    for (const estimate::WeightedSequence& s : draws[i].sequences)
      if (decode) texts.push_back(decode(s.tokens));
    groups.push_back({sample_rows(draws[i].sequences, texts, options.from),
                      {{task.prompt.begin(), task.prompt.end()},
                       task.text,
                       options.unique,
                       static_cast<std::int64_t>(i),
                       task.id}});
  }
  return groups;
}

}  // namespace twistor::report
