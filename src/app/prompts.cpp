// SPDX-License-Identifier: Apache-2.0
// `twistor evaluate` over many prompts.
#include "twistor/estimate/prompts.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "twistor/app/evaluation.hpp"
#include "twistor/app/prompts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/rows.hpp"
#include "twistor/run/cost.hpp"
#include "twistor/run/unfinished.hpp"

namespace twistor::app {
namespace {

/// Throws Stopped after a signal; prompts that are done are kept.
std::vector<estimate::PromptFindings> run_prompts(const run::Session& session,
                                                  std::span<const estimate::PromptTask> tasks,
                                                  std::span<const estimate::PromptSampler> samplers,
                                                  const run::Unfinished& unfinished, Counters& counters) {
  const run::Config& config = session.config();
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

}  // namespace

std::vector<estimate::PromptTask> prompt_tasks(const run::Session& session) {
  std::vector<estimate::PromptTask> tasks;
  for (const text::ListedPrompt& p : session.prompts()) {
    tasks.push_back({p.prompt.ids, p.length, p.key, p.id});
    if (session.tokenizer() != nullptr)
      tasks.back().text = p.prompt.text.empty() ? session.decode(p.prompt.ids) : p.prompt.text;
  }
  return tasks;
}

void require_prompts_alone(const run::Session& session) {
  const run::Config& config = session.config();
  const auto refuse = [&](bool is_given, const char* key, const char* hint) {
    TWISTOR_CHECK(!is_given, ErrorKind::config, "reading prompt.file",
                  fmt::format("{} goes with one prompt, and there are {}", key, session.prompts().size()),
                  hint);
  };
  const bool has_policy =
      std::ranges::any_of(config.policies, [](const auto& policy) { return policy.second.is_given(); });
  refuse(has_policy, "a policy", "leave [policy] out, or give one prompt");
  refuse(config.twist.condition != model::Condition::none, "twist.condition", "set twist.condition = none");
  refuse(!session.observation().empty(), "a continuation that is drawn", "set target.text or target.ids");
  refuse(!config.exact.path.empty(), "exact.path", "leave it empty: each prompt's exact samples are its own");
  refuse(config.sweep.is_given(), "sweep.*", "leave it empty, or give one prompt");
  refuse(!config.evaluate.log_z.empty(), "evaluate.log_z", "leave it empty: each prompt has its own log Z");
}

estimate::Evaluation evaluate_mean_over_prompts(const run::Session& session, const twist::Trainable& twist,
                                                std::int64_t update) {
  const std::vector<estimate::PromptTask> tasks = prompt_tasks(session);
  const std::vector<estimate::PromptSampler> samplers{
      {"twist", session.twist_lm(), twist, update, session.sweep_options().trigger}};
  const run::Unfinished unfinished(session, "evaluation.partial.h5",
                                   work_key(session, twist.form(), twist.parameters(), {}));
  Counters counters;
  const auto rows =
      report::prompt_rows(tasks, samplers, run_prompts(session, tasks, samplers, unfinished, counters));
  unfinished.remove();
  estimate::Evaluation mean = report::means_of(rows).front().evaluation;
  mean.update = update;
  mean.counters = counters;
  return mean;
}

int evaluate_prompts(run::Session& session) {
  require_prompts_alone(session);
  const std::vector<run::LoadedTwist> twists = load_twists(session, "evaluate");
  return evaluate_prompts(session, twists, {});
}

int evaluate_prompts(const run::Session& session, std::span<const run::LoadedTwist> twists,
                     report::Run rest) {
  const Stopwatch watch;
  const twist::NoTwist none(session.lm().vocab_size());
  std::vector<estimate::PromptSampler> samplers;
  std::string key;
  if (session.config().evaluate.base || twists.front().learned == nullptr)
    samplers.push_back({"base", session.shared_lm(), none, 0, twists.front().trigger});
  for (const run::LoadedTwist& one : twists) {
    key += one.work_key;
    if (one.learned != nullptr)
      samplers.push_back({one.name, session.twist_lm(), *one.twist, one.update, one.trigger});
  }
  say_cost(session, work_of_evaluation(session.config(), n_exact_without_draws(session)));
  const run::Unfinished unfinished(session, "prompts.partial.h5", key);
  const std::vector<estimate::PromptTask> tasks = prompt_tasks(session);
  const auto found = run_prompts(session, tasks, samplers, unfinished, rest.counters);
  rest.prompts = report::prompt_rows(tasks, samplers, found);
  rest.forecasts =
      report::forecasts_of(rest.prompts, session.config().evaluate.forecast, session.config().run.seed);
  rest.seconds += watch.seconds();
  const std::size_t n_twists = twists.front().learned != nullptr ? twists.size() : 0;
  report::Columns columns = report::columns_of(report::means_of(rest.prompts), n_twists, 0);
  finish_evaluation(session, std::move(columns), std::move(rest));
  unfinished.remove();
  return 0;
}

}  // namespace twistor::app
