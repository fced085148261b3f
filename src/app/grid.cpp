// SPDX-License-Identifier: Apache-2.0
// `twistor evaluate` at several K and seeds.
#include "twistor/estimate/grid.hpp"

#include <fmt/format.h>

#include "twistor/app/evaluation.hpp"
#include "twistor/base/error.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/report/rows.hpp"
#include "twistor/run/cost.hpp"
#include "twistor/run/unfinished.hpp"

namespace twistor::app {
namespace {

/// Base model, twists, policies; those that the configuration asks for.
std::vector<estimate::Sampler> samplers_of(const run::Session& session,
                                           std::span<const run::LoadedTwist> twists,
                                           const twist::NoTwist& none) {
  const bool has_twist = !twists.empty() && twists.front().learned != nullptr;
  std::vector<estimate::Sampler> out;
  if (session.config().evaluate.base || (!has_twist && session.policies().empty()))
    out.push_back({"base", session.base_problem(), session.make_base_proposal(none),
                   has_twist ? twists.front().trigger : session.sweep_options().trigger});
  for (const run::LoadedTwist& one : twists)
    if (one.learned != nullptr)
      out.push_back(
          {one.name, session.problem(), session.make_proposal(*one.twist), one.trigger, one.update});
  for (const smc::LoadedPolicy& policy : session.policies())
    out.push_back({policy.name,
                   session.problem(policy),
                   {*policy.models.base, none, policy.view()},
                   smc::Trigger::never});
  return out;
}

/// Throws Stopped after a signal; evaluations that are done are kept.
std::vector<std::vector<estimate::Evaluation>> run_grid(
    const run::Session& session, const estimate::Grid& grid, std::span<const estimate::Sampler> samplers,
    const store::ExactSamples& exact, const run::Unfinished& unfinished, Counters& counters) {
  report::ProgressLine progress(session.progress());
  const estimate::GridWork work{
      evaluation_options(session, exact, session.steering(progress)),
      split(exact, session.config()).for_estimates,
      [&](const estimate::Pieces& found) { unfinished.save(estimate::to_numbers(found)); }};
  estimate::Pieces found = estimate::pieces_from_numbers(unfinished.load());
  const auto all =
      estimate::evaluate_grid(grid, samplers, work, session.world(), session.groups(), found, counters);
  progress.finish();
  if (!all)
    session.stop(fmt::format("{} of {} evaluations are kept; run again to go on", found.size(),
                             estimate::n_pieces(grid, samplers.size(), work.each.enumerate)));
  return *all;
}

}  // namespace

int evaluate_grid(const run::Session& session, std::span<const run::LoadedTwist> twists,
                  const Stopwatch& watch) {
  TWISTOR_CHECK(session.pairs() == nullptr, ErrorKind::config, "reading sweep.*",
                "conditional twists are evaluated on many observations",
                "leave it empty, or name an observation by target.text or target.ids");
  const twist::NoTwist none(session.lm().vocab_size());
  const std::vector<estimate::Sampler> samplers = samplers_of(session, twists, none);
  const run::Config& config = session.config();
  const estimate::Grid grid = estimate::make_grid(config.sweep, config.smc.sweep.particles, config.run.seed);
  say_cost(session, work_of_grid(config, grid, samplers.size(), n_exact_without_draws(session)));
  const store::ExactSamples exact = session.exact_samples();
  std::string key = work_key(session, "grid", {}, exact);
  for (const run::LoadedTwist& one : twists) key += one.work_key;
  for (const smc::LoadedPolicy& policy : session.policies()) key += policy.identity();
  const run::Unfinished unfinished(session, "sweep.partial.h5", key);
  report::Run rest;
  const auto found = run_grid(session, grid, samplers, exact, unfinished, rest.counters);
  rest.grid = report::grid_rows(grid, samplers, found);
  rest.seconds = watch.seconds();
  const std::size_t n_twists = !twists.empty() && twists.front().learned != nullptr ? twists.size() : 0;
  report::Columns columns =
      report::columns_of(report::means_of(rest.grid), n_twists, session.policies().size());
  finish_evaluation(session, std::move(columns), std::move(rest));
  unfinished.remove();
  return 0;
}

}  // namespace twistor::app
