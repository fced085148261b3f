// SPDX-License-Identifier: Apache-2.0
// Evaluations: with files for what is unfinished, a progress line and signals; and where results go.
#include "twistor/app/evaluation.hpp"

#include <fmt/format.h>

#include <utility>

#include "twistor/base/memory.hpp"
#include "twistor/comm/counters.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/comm/job_place.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/estimate/observations.hpp"
#include "twistor/report/progress.hpp"
#include "twistor/run/unfinished.hpp"
#include "twistor/store/version.hpp"

namespace twistor::app {
namespace {

estimate::Evaluation evaluate_proposal(const run::Session& session, const estimate::Sampler& sampler,
                                       const store::ExactSamples& exact, const run::Unfinished& unfinished) {
  report::ProgressLine progress(session.progress());
  estimate::EvaluationOptions options =
      evaluation_options(session, exact, session.steering(progress, "evaluation: "));
  options.sweep.trigger = sampler.trigger;
  options.save = [&](const estimate::Findings& found) { unfinished.save(estimate::to_numbers(found)); };
  estimate::Findings found = estimate::findings_from_numbers(unfinished.load());
  std::optional<estimate::Evaluation> e = estimate::evaluate(sampler.problem, sampler.proposal, options,
                                                             split(exact, session.config()).for_estimates,
                                                             session.world(), session.groups(), found);
  progress.finish();
  if (!e)
    session.stop(
        fmt::format("{} of {} repeats of the evaluation and {} of {} samples are kept; run again to go on",
                    found.repeats.size(), options.repeats, found.q.size(), options.samples));
  e->update = sampler.update;
  return *std::move(e);
}

/// Of a twist that sees observations, on some of them.
estimate::Evaluation evaluate_conditional(const run::Session& session, const twist::Twist& twist,
                                          std::int64_t update, const store::ExactSamples& pairs,
                                          const run::Unfinished& unfinished) {
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

/// Of a twist, whatever it sees.
estimate::Evaluation evaluate_with(const run::Session& session, const twist::Twist& twist,
                                   std::int64_t update, smc::Trigger trigger,
                                   const store::ExactSamples& exact, const run::Unfinished& unfinished) {
  if (session.pairs() != nullptr) return evaluate_conditional(session, twist, update, exact, unfinished);
  return evaluate_proposal(session,
                           {"twist", session.problem(), session.make_proposal(twist), trigger, update}, exact,
                           unfinished);
}

}  // namespace

estimate::EvaluationOptions evaluation_options(const run::Session& session, const store::ExactSamples& exact,
                                               const Steering& steering) {
  const estimate::Options& config = session.config().evaluate;
  estimate::EvaluationOptions options = estimate::options_of(config, session.sweep_options(), steering);
  options.known = estimate::known_from(exact, session.config().exact.count,
                                       session.potential().log_phi_bound(), config.given_log_z());
  options.known.is_event = potential::is_event(session.config().target);
  options.enumerate = exact.is_log_z_known() && config.enumerate_q;
  return options;
}

estimate::Evaluation evaluate_twist(const run::Session& session, const twist::Trainable& twist,
                                    std::int64_t update, const store::ExactSamples& exact) {
  const run::Unfinished unfinished(session, "evaluation.partial.h5",
                                   work_key(session, twist.form(), twist.parameters(), exact));
  estimate::Evaluation e =
      evaluate_with(session, twist, update, session.sweep_options().trigger, exact, unfinished);
  unfinished.remove();
  return e;
}

std::vector<report::NamedEvaluation> evaluate_twists(const run::Session& session,
                                                     std::span<const run::LoadedTwist> twists,
                                                     const store::ExactSamples& exact) {
  std::vector<report::NamedEvaluation> out;
  std::vector<run::Unfinished> all;
  for (const run::LoadedTwist& one : twists) {
    if (one.learned == nullptr) continue;
    const std::string file = twists.size() == 1 ? "evaluation" : fmt::format("checkpoint.{}", out.size() + 1);
    all.emplace_back(session, file + ".partial.h5",
                     work_key(session, one.learned->form(), one.learned->parameters(), exact));
    out.push_back({one.name, evaluate_with(session, *one.twist, one.update, one.trigger, exact, all.back())});
  }
  for (const run::Unfinished& one : all) one.remove();  // together: a run that goes on repeats none
  return out;
}

estimate::Evaluation evaluate_base(const run::Session& session, const store::ExactSamples& exact,
                                   std::optional<smc::Trigger> trigger) {
  const twist::NoTwist none(session.lm().vocab_size());
  const run::Unfinished unfinished(session, "base.partial.h5", work_key(session, none.form(), {}, exact));
  if (session.pairs() != nullptr) return evaluate_conditional(session, none, 0, exact, unfinished);
  // Whatever the proposal, psi = 1 makes it p0; the order of its steps stays, so that columns are comparable.
  return evaluate_proposal(session,
                           {"base", session.base_problem(), session.make_base_proposal(none),
                            trigger.value_or(session.sweep_options().trigger), 0},
                           exact, unfinished);
}

std::vector<report::NamedEvaluation> evaluate_policies(const run::Session& session,
                                                       const store::ExactSamples& exact) {
  const twist::NoTwist none(session.lm().vocab_size());
  std::vector<report::NamedEvaluation> out;
  std::vector<run::Unfinished> all;
  for (const smc::LoadedPolicy& policy : session.policies()) {
    all.emplace_back(session, policy.name + ".partial.h5", work_key(session, policy.identity(), {}, exact));
    const estimate::Sampler sampler{policy.name,
                                    session.problem(policy),
                                    {*policy.models.base, none, policy.view()},
                                    smc::Trigger::never};
    out.push_back({policy.name, evaluate_proposal(session, sampler, exact, all.back())});
  }
  for (const run::Unfinished& one : all) one.remove();  // together: a run that goes on repeats none
  return out;
}

void forget_base(const run::Session& session) {
  run::Unfinished(session, "base.partial.h5", {}).remove();
}

report::Sinks make_sinks(const run::Session& session, std::optional<std::int64_t> updates_done) {
  if (!session.is_root()) return {};
  const run::Config& config = session.config();
  report::SinkOptions options{updates_done, to_text(config)};
  if (config.run.tensorboard)
    options.events = {to_json(config), config.run.output, [&](auto ids) { return session.decode(ids); }};
  return report::sinks_of_run(session.output(""), std::move(options));
}

void finish(const run::Session& session, report::Sinks& sinks, report::Columns columns, report::Run run) {
  report::arrange(columns, run);
  run.is_computed = session.config().twist.is_computed();
  run.target = session.potential().description();
  run.counters.maxima["memory_peak_bytes"] = peak_memory_bytes();
  run.counters = comm::all_reduce(run.counters, session.world());
  run.config_text = to_text(session.config());
  run.config_json = to_json(session.config());
  run.versions = {{"twistor", std::string(store::program_version())},
                  {"revision", std::string(store::program_revision())},
                  {"libtorch", TWISTOR_LIBTORCH_VERSION},
                  {"hdf5", TWISTOR_HDF5_VERSION},
                  {"mpi", comm::mpi_version()},
                  {"compiler", __VERSION__}};
  run.particles = session.config().smc.sweep.particles;
  run.n_ranks = session.world().size();
  comm::JobPlace place = comm::job_place(session.world());
  run.job = std::move(place.id);
  run.hosts = std::move(place.hosts);
  run.folder = session.output("");
  run.prompt = session.prompt();
  run.special_tokens = session.whole_prompt().front;
  run.special_tokens_rule = session.whole_prompt().rule;
  run.decode = [&](std::span<const std::int64_t> ids) { return session.decode(ids); };
  run.prompts_digest = text::digest(session.prompts());
  sinks.finished(run);
}

void finish_evaluation(const run::Session& session, report::Columns columns, report::Run run) {
  if (session.is_root()) report::keep_earlier_results(session.output(""));
  report::Sinks sinks = make_sinks(session);
  finish(session, sinks, std::move(columns), std::move(run));
}

}  // namespace twistor::app
