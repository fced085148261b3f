// `twistor evaluate`: the estimators on the twist of a checkpoint.
#include <optional>

#include "twistor/app/commands.hpp"
#include "twistor/app/cost.hpp"
#include "twistor/app/evaluation.hpp"
#include "twistor/app/twist_store.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/learn/checkpoint.hpp"

namespace twistor::app {

int evaluate(const Invocation& invocation) {
  const Stopwatch watch;
  Session session(invocation.config, invocation.config_file);
  const store::Checkpoint checkpoint = learn::load_checkpoint(twist_file(session), session.world());
  require_fits(session, checkpoint, Purpose::use);
  const auto twist = session.make_twist(checkpoint.objective);
  learn::restore(*twist, checkpoint);
  say_cost(session, work_of_evaluation(session.config(), n_exact_without_draws(session)));
  const store::ExactSamples exact = session.exact_samples();
  std::optional<estimate::Evaluation> base;
  if (session.config().evaluate.base) base = evaluate_base(session, exact);
  const estimate::Evaluation result = evaluate_twist(session, *twist, checkpoint.update, exact);
  forget_base(session);
  Counters mine;
  if (base) mine.add(base->counters);
  mine.add(result.counters);
  const auto before = estimate::evaluation_from_numbers(checkpoint.numbers, "before");
  if (session.is_root()) report::keep_earlier_results(session.output(""));
  report::Sinks sinks = make_sinks(session);
  finish(session, sinks, base ? &*base : nullptr, before ? &*before : nullptr, result, mine, watch.seconds());
  return 0;
}

}  // namespace twistor::app
