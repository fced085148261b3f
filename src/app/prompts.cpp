// SPDX-License-Identifier: Apache-2.0
// `twistor evaluate` over many prompts.
#include "twistor/estimate/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "twistor/app/cost.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/app/unfinished.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/estimate/observations.hpp"
#include "twistor/report/progress.hpp"

namespace twistor::app {
namespace {

/// Throws Stopped after a signal; prompts that are done are kept.
std::vector<estimate::PromptFindings> run(const Session& session,
                                          std::span<const estimate::PromptSampler> samplers,
                                          const Unfinished& unfinished, Counters& counters) {
  const Config& config = session.config();
  std::vector<estimate::PromptTask> tasks;
  for (const text::ListedPrompt& p : session.prompts()) tasks.push_back({p.prompt.ids, p.length, p.key});
  report::ProgressLine progress(session.progress());
  estimate::PromptsOptions options{
      .each = estimate::options_of(config.evaluate, session.sweep_options(),
                                   session.steering(progress, "evaluation: ")),
      .config = config.evaluate,
      .exact = config.exact,
      .target_identity = session.potential_identity(),
      .proposal = config.smc.proposal,
      .save = [&](const estimate::Pieces& found) { unfinished.save(estimate::to_numbers(found)); }};
  options.each.known.is_event = potential::is_event(config.target);
  estimate::Pieces found = estimate::pieces_from_numbers(unfinished.load());
  const auto all = estimate::evaluate_prompts(tasks, samplers, session.potential(), options, session.world(),
                                              session.groups(), found, counters);
  progress.finish();
  if (!all)
    session.stop(fmt::format("the evaluation of {} of {} prompts is kept; run again to go on", found.size(),
                             tasks.size()));
  return *all;
}

std::vector<report::PromptRow> rows_of(const Session& session,
                                       std::span<const estimate::PromptSampler> samplers,
                                       const std::vector<estimate::PromptFindings>& found) {
  std::vector<report::PromptRow> rows;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const text::ListedPrompt& p = session.prompts()[i];
    report::PromptRow& row = rows.emplace_back();
    row = {p.id, {}, p.prompt.ids, p.length, {}, found[i].n_exact, found[i].n_draws, found[i].n_sequences};
    if (session.tokenizer() != nullptr)
      row.text = p.prompt.text.empty() ? session.decode(p.prompt.ids) : p.prompt.text;
    for (std::size_t s = 0; s < samplers.size(); ++s)
      row.evaluations.push_back({samplers[s].name, found[i].evaluations[s]});
  }
  return rows;
}

/// What speaks of one target does not go with many. Throws Error(config).
void require_prompts_alone(const Session& session) {
  const Config& config = session.config();
  const auto refuse = [&](bool is_given, const char* key, const char* hint) {
    TWISTOR_CHECK(!is_given, ErrorKind::config, "evaluating the prompts of prompt.file",
                  fmt::format("{} goes with one prompt, and there are {}", key, session.prompts().size()),
                  hint);
  };
  const bool has_policy =
      std::ranges::any_of(config.policies, [](const auto& policy) { return policy.second.is_given(); });
  refuse(has_policy, "a policy", "leave [policy] out, or give one prompt");
  refuse(config.twist.condition != model::Condition::none, "twist.condition", "set twist.condition = none");
  refuse(!session.observation().empty(), "a continuation that is drawn", "set target.text or target.ids");
  refuse(!config.exact.path.empty(), "exact.path", "leave it empty: each prompt's exact samples are its own");
  refuse(!config.evaluate.log_z.empty(), "evaluate.log_z", "leave it empty: each prompt has its own log Z");
}

}  // namespace

int evaluate_prompts(Session& session) {
  const Stopwatch watch;
  require_prompts_alone(session);
  const LoadedTwist loaded = load_twist(session, "evaluate");
  const twist::NoTwist none(session.lm().vocab_size());
  std::vector<estimate::PromptSampler> samplers;
  if (session.config().evaluate.base || !loaded.is_learned)
    samplers.push_back({"base", session.shared_lm(), none});
  if (loaded.is_learned) samplers.push_back({"twist", session.twist_lm(), *loaded.twist, loaded.update});
  say_cost(session, work_of_evaluation(session.config(), n_exact_without_draws(session)));
  const Unfinished unfinished(session, "prompts.partial.h5", loaded.work_key);
  Counters counters;
  const std::vector<estimate::PromptFindings> found = run(session, samplers, unfinished, counters);
  std::vector<estimate::Evaluation> means;
  for (std::size_t s = 0; s < samplers.size(); ++s) {
    std::vector<estimate::Evaluation> each;
    for (const estimate::PromptFindings& one : found) each.push_back(one.evaluations[s]);
    means.push_back(estimate::mean_over(each, &estimate::Evaluation::prompts));
  }
  if (session.is_root()) report::keep_earlier_results(session.output(""));
  report::Sinks sinks = make_sinks(session);
  finish(session, sinks, means.size() > 1 ? &means.front() : nullptr, nullptr, means.back(), counters,
         watch.seconds(), {}, {}, rows_of(session, samplers, found));
  unfinished.remove();
  return 0;
}

}  // namespace twistor::app
