// SPDX-License-Identifier: Apache-2.0
// `twistor evaluate`: the estimators on the twists of checkpoints, and on policies.
#include "twistor/app/commands.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/run/cost.hpp"

namespace twistor::app {

int evaluate(const Invocation& invocation) {
  const Stopwatch watch;
  run::Session session(invocation.config, invocation.config_file);
  if (!session.prompts().empty()) return evaluate_prompts(session);
  session.load_policies(invocation.config_file);
  std::vector<run::LoadedTwist> twists;  // none where policies are what is measured
  if (!session.config().smc.draws_from_policy()) twists = load_twists(session, "evaluate");
  if (session.config().sweep.is_given()) return evaluate_grid(session, twists, watch);
  say_cost(session, work_of_evaluation(session.config(), n_exact_without_draws(session)));
  const store::ExactSamples exact = session.exact_samples();
  const bool has_twist = !twists.empty() && twists.front().learned != nullptr;
  report::Columns columns;
  if (session.config().evaluate.base || (!has_twist && session.policies().empty()))
    columns.base =
        evaluate_base(session, exact, has_twist ? std::optional(twists.front().trigger) : std::nullopt);
  columns.twists = evaluate_twists(session, twists, exact);
  columns.policies = evaluate_policies(session, exact);
  forget_base(session);
  if (twists.size() == 1) columns.before = twists.front().before;
  report::Run run{.seconds = watch.seconds()};
  if (columns.base) run.counters.add(columns.base->counters);
  for (const auto* const list : {&columns.twists, &columns.policies})
    for (const report::NamedEvaluation& one : *list) run.counters.add(one.evaluation.counters);
  finish_evaluation(session, std::move(columns), std::move(run));
  return 0;
}

}  // namespace twistor::app
