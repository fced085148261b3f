// SPDX-License-Identifier: Apache-2.0
// Evaluations: with files for what is unfinished, a progress line and signals; and where results go.
#include "twistor/app/evaluation.hpp"

#include <fmt/format.h>

#include "twistor/app/unfinished.hpp"
#include "twistor/comm/counters.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/estimate/observations.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

estimate::Evaluation evaluate_proposal(const Session& session, const smc::Problem& problem,
                                       const smc::Proposal& proposal, std::int64_t update,
                                       const store::ExactSamples& exact, const Unfinished& unfinished) {
  const estimate::Options& config = session.config().evaluate;
  report::ProgressLine progress(session.progress());
  estimate::EvaluationOptions options =
      estimate::options_of(config, session.sweep_options(), session.steering(progress, "evaluation: "));
  options.known = estimate::known_from(exact, session.config().exact.count,
                                       session.potential().log_phi_bound(), config.given_log_z());
  options.known.is_event = potential::is_event(session.config().target);
  if (proposal.is_policy()) options.sweep.trigger = smc::Trigger::never;
  options.enumerate = exact.is_log_z_known() && config.enumerate_q;
  options.save = [&](const estimate::Findings& found) { unfinished.save(estimate::to_numbers(found)); };
  estimate::Findings found = estimate::findings_from_numbers(unfinished.load());
  std::optional<estimate::Evaluation> e =
      estimate::evaluate(problem, proposal, options, split(exact, session.config()).for_estimates,
                         session.world(), session.groups(), found);
  progress.finish();
  if (!e)
    session.stop(
        fmt::format("{} of {} repeats of the evaluation and {} of {} samples are kept; run again to go on",
                    found.repeats.size(), config.repeats, found.q.size(), config.samples));
  e->update = update;
  return *std::move(e);
}

/// Of a twist that sees observations, on some of them.
estimate::Evaluation evaluate_conditional(const Session& session, const twist::Twist& twist,
                                          std::int64_t update, const store::ExactSamples& pairs,
                                          const Unfinished& unfinished) {
  report::ProgressLine progress(session.progress());
  const estimate::Options& config = session.config().evaluate;
  estimate::ObservationsOptions options{
      estimate::options_of(config, session.sweep_options(), session.steering(progress, "evaluation: ")),
      config, session.config().smc.proposal};
  options.save = [&](const std::vector<estimate::Findings>& found) {
    unfinished.save(estimate::to_numbers(found));
  };
  std::vector<estimate::Findings> found = estimate::list_of_findings(unfinished.load());
  std::optional<estimate::Evaluation> e = estimate::evaluate_observations(
      *session.conditional(), twist, pairs, options, session.world(), session.groups(), found);
  progress.finish();
  if (!e)
    session.stop(fmt::format("the evaluation of {} of {} observations is kept; run again to go on",
                             found.size() - 1, pairs.n()));
  e->update = update;
  return *std::move(e);
}

}  // namespace

estimate::Evaluation evaluate_twist(const Session& session, const twist::Trainable& twist,
                                    std::int64_t update, const store::ExactSamples& exact) {
  const Unfinished unfinished(session, "evaluation.partial.h5",
                              work_key(session, twist.form(), twist.parameters(), exact));
  estimate::Evaluation e = session.pairs() != nullptr
                               ? evaluate_conditional(session, twist, update, exact, unfinished)
                               : evaluate_proposal(session, session.problem(), session.make_proposal(twist),
                                                   update, exact, unfinished);
  unfinished.remove();
  return e;
}

estimate::Evaluation evaluate_base(const Session& session, const store::ExactSamples& exact) {
  const twist::NoTwist none(session.lm().vocab_size());
  const Unfinished unfinished(session, "base.partial.h5", work_key(session, none.form(), {}, exact));
  if (session.pairs() != nullptr) return evaluate_conditional(session, none, 0, exact, unfinished);
  // Whatever the proposal, psi = 1 makes it p0; the order of its steps stays, so that columns are comparable.
  return evaluate_proposal(session, session.base_problem(), session.make_base_proposal(none), 0, exact,
                           unfinished);
}

std::vector<report::NamedEvaluation> evaluate_policies(const Session& session,
                                                       const store::ExactSamples& exact) {
  const twist::NoTwist none(session.lm().vocab_size());
  std::vector<report::NamedEvaluation> out;
  for (const smc::LoadedPolicy& policy : session.policies()) {
    const Unfinished unfinished(session, policy.name + ".partial.h5",
                                work_key(session, policy.identity(), {}, exact));
    out.push_back(
        {policy.name, evaluate_proposal(session, session.problem(policy),
                                        {*policy.models.base, none, policy.view()}, 0, exact, unfinished)});
  }
  for (const smc::LoadedPolicy& policy : session.policies())  // together: a run that goes on repeats none
    Unfinished(session, policy.name + ".partial.h5", {}).remove();
  return out;
}

void forget_base(const Session& session) {
  Unfinished(session, "base.partial.h5", {}).remove();
}

report::Sinks make_sinks(const Session& session, std::optional<std::int64_t> updates_done) {
  if (!session.is_root()) return {};
  const Config& config = session.config();
  report::SinkOptions options{updates_done, to_text(config)};
  if (config.run.tensorboard)
    options.events = {to_json(config), config.run.output, [&](auto ids) { return session.decode(ids); }};
  return report::sinks_of_run(session.output(""), std::move(options));
}

void finish(const Session& session, report::Sinks& sinks, const estimate::Evaluation* base,
            const estimate::Evaluation* before, const estimate::Evaluation& after, const Counters& counters,
            double total_seconds, std::vector<report::NamedEvaluation> policies, const std::string& positives,
            std::vector<report::PromptRow> prompts) {
  std::optional<estimate::Evaluation> of_base, of_before;
  if (base != nullptr) of_base = *base;
  if (before != nullptr && before != base) of_before = *before;
  estimate::Evaluation last = after;
  std::vector<estimate::Evaluation*> all{of_base ? &*of_base : nullptr, of_before ? &*of_before : nullptr,
                                         &last};
  for (report::NamedEvaluation& policy : policies) all.push_back(&policy.evaluation);
  estimate::share_log_z(all);
  const estimate::Evaluation* const shown_base = of_base ? &*of_base : nullptr;
  const report::Run run{.base = shown_base,
                        .before = before == base ? shown_base
                                  : of_before    ? &*of_before
                                                 : nullptr,
                        .after = &last,
                        .policies = std::move(policies),
                        .is_computed = session.config().twist.is_computed(),
                        .is_after_policy = session.config().smc.draws_from_policy(),
                        .counters = comm::all_reduce(counters, session.world()),
                        .config_text = to_text(session.config()),
                        .config_json = to_json(session.config()),
                        .versions = {{"twistor", std::string(store::program_version())},
                                     {"revision", std::string(store::program_revision())},
                                     {"libtorch", TWISTOR_LIBTORCH_VERSION},
                                     {"hdf5", TWISTOR_HDF5_VERSION},
                                     {"mpi", comm::mpi_version()},
                                     {"compiler", __VERSION__}},
                        .particles = session.config().smc.sweep.particles,
                        .n_ranks = session.world().size(),
                        .seconds = total_seconds,
                        .folder = session.output(""),
                        .prompt = session.prompt(),
                        .special_tokens = session.whole_prompt().front,
                        .special_tokens_rule = session.whole_prompt().rule,
                        .decode = [&](std::span<const std::int64_t> ids) { return session.decode(ids); },
                        .positives = positives,
                        .prompts = std::move(prompts),
                        .prompts_digest = text::digest(session.prompts())};
  sinks.finished(run);
}

}  // namespace twistor::app
