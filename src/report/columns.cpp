// SPDX-License-Identifier: Apache-2.0
// Who is the base model, who is the result, and who stands beside them.
#include "twistor/report/columns.hpp"

#include <span>
#include <utility>

#include "twistor/estimate/grid.hpp"
#include "twistor/estimate/observations.hpp"

namespace twistor::report {
namespace {

/// mean(evaluations) of each sampler.
template <class Row, class Mean>
std::vector<NamedEvaluation> by_sampler(std::span<const Row> rows, const Mean& mean) {
  std::vector<NamedEvaluation> out;
  for (std::size_t s = 0; s < rows.front().evaluations.size(); ++s) {
    std::vector<estimate::Evaluation> each;
    for (const Row& row : rows) each.push_back(row.evaluations[s].evaluation);
    out.push_back({rows.front().evaluations[s].name, mean(each)});
  }
  return out;
}

}  // namespace

Columns columns_of(std::vector<NamedEvaluation> all, std::size_t n_twists, std::size_t n_policies) {
  Columns out;
  std::size_t at = 0;
  if (all.size() > n_twists + n_policies) out.base = std::move(all[at++].evaluation);
  for (std::size_t i = 0; i < n_twists; ++i) out.twists.push_back(std::move(all[at++]));
  for (std::size_t i = 0; i < n_policies; ++i) out.policies.push_back(std::move(all[at++]));
  return out;
}

void arrange(Columns& columns, Run& run) {
  std::vector<estimate::Evaluation*> all;
  for (std::optional<estimate::Evaluation>* one : {&columns.base, &columns.before})
    if (*one) all.push_back(&**one);
  for (std::vector<NamedEvaluation>* list : {&columns.twists, &columns.policies})
    for (NamedEvaluation& one : *list) all.push_back(&one.evaluation);
  estimate::share_log_z(all);
  const auto place = [](const auto& one) { return one ? &*one : nullptr; };
  run.before = place(columns.before);
  run.base = place(columns.is_base_before ? columns.before : columns.base);
  run.after = !columns.twists.empty()     ? &columns.twists.front().evaluation
              : !columns.policies.empty() ? &columns.policies.front().evaluation
                                          : std::exchange(run.base, nullptr);
  run.is_after_policy = columns.twists.empty() && !columns.policies.empty();
  run.policies = columns.policies;
  if (columns.twists.size() < 2) return;
  run.after_name = columns.twists.front().name;
  run.checkpoints.assign(columns.twists.begin() + 1, columns.twists.end());
}

std::vector<NamedEvaluation> means_of(const std::vector<PromptRow>& rows) {
  return by_sampler(std::span(rows), [](const std::vector<estimate::Evaluation>& each) {
    return estimate::mean_over(each, &estimate::Evaluation::prompts);
  });
}

std::vector<NamedEvaluation> means_of(const std::vector<GridRow>& rows) {
  std::size_t n = 0;
  while (n < rows.size() && rows[rows.size() - 1 - n].particles == rows.back().particles) ++n;
  return by_sampler(std::span(rows).last(n), estimate::mean_over_seeds);
}

}  // namespace twistor::report
