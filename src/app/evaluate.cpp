// SPDX-License-Identifier: Apache-2.0
// `twistor evaluate`: the estimators on the twist of a checkpoint.
#include <optional>

#include "twistor/app/commands.hpp"
#include "twistor/app/cost.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor::app {

int evaluate(const Invocation& invocation) {
  const Stopwatch watch;
  Session session(invocation.config, invocation.config_file);
  if (!session.prompts().empty()) return evaluate_prompts(session);
  session.load_policies(invocation.config_file);
  std::unique_ptr<twist::Trainable> twist;  // none where a policy is what is measured
  store::Checkpoint checkpoint;
  if (!session.config().smc.draws_from_policy()) twist = load_twist(session, checkpoint);
  say_cost(session, work_of_evaluation(session.config(), n_exact_without_draws(session)));
  const store::ExactSamples exact = session.exact_samples();
  std::optional<estimate::Evaluation> base, result;
  if (session.config().evaluate.base) base = evaluate_base(session, exact);
  if (twist != nullptr) result = evaluate_twist(session, *twist, checkpoint.update, exact);
  std::vector<report::NamedEvaluation> policies = evaluate_policies(session, exact);
  forget_base(session);
  Counters mine;
  for (const auto* const one : {&base, &result})
    if (*one) mine.add((*one)->counters);
  for (const report::NamedEvaluation& policy : policies) mine.add(policy.evaluation.counters);
  const auto before = estimate::evaluation_from_numbers(checkpoint.numbers, "before");
  if (session.is_root()) report::keep_earlier_results(session.output(""));
  report::Sinks sinks = make_sinks(session);
  const estimate::Evaluation after = result ? *result : policies.front().evaluation;
  finish(session, sinks, base ? &*base : nullptr, before ? &*before : nullptr, after, mine, watch.seconds(),
         std::move(policies));
  return 0;
}

}  // namespace twistor::app
