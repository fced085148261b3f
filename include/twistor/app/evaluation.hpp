// SPDX-License-Identifier: Apache-2.0
// Measuring twists, and whom a run tells what it finds.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/stopwatch.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/estimate/grid.hpp"
#include "twistor/report/columns.hpp"
#include "twistor/report/sink.hpp"
#include "twistor/run/session.hpp"
#include "twistor/run/twist_store.hpp"

namespace twistor::app {

/// Runs all estimators, or what an interrupted evaluation of the same twist in run.output still lacks.
/// *Collective over the world.* Throws Stopped after a signal; what is done is kept.
[[nodiscard]] estimate::Evaluation evaluate_twist(const run::Session& session, const twist::Trainable& twist,
                                                  std::int64_t update, const store::ExactSamples& exact);
/// The same of each of several, by name. Work that was interrupted goes on with the twist that it was at.
[[nodiscard]] std::vector<report::NamedEvaluation> evaluate_twists(const run::Session& session,
                                                                   std::span<const run::LoadedTwist> twists,
                                                                   const store::ExactSamples& exact);

/// The same of the base model: psi = 1 and q = p0, what one has without learning at the same K. What it finds
/// is kept in run.output until forget_base(), so that a run that is interrupted later need not do it again.
/// `trigger`: the session's, unless it is that of the first of several twists. *Collective over the world.*
/// Throws Stopped after a signal.
[[nodiscard]] estimate::Evaluation evaluate_base(const run::Session& session,
                                                 const store::ExactSamples& exact,
                                                 std::optional<smc::Trigger> trigger = std::nullopt);
void forget_base(const run::Session& session);

/// The same of every policy, by the name of its section. *Collective over the world.*
[[nodiscard]] std::vector<report::NamedEvaluation> evaluate_policies(const run::Session& session,
                                                                     const store::ExactSamples& exact);

/// As the configuration asks for it. *Local.*
[[nodiscard]] estimate::EvaluationOptions evaluation_options(const run::Session& session,
                                                             const store::ExactSamples& exact,
                                                             const Steering& steering);

/// `evaluate` over the prompts of prompt.file, and over the K and seeds of sweep.*. Both return the exit code
/// and are *collective over the world*. They throw Stopped after a signal; what is done is kept.
[[nodiscard]] int evaluate_prompts(run::Session& session);
/// With those twists; `rest` as finish()'s.
[[nodiscard]] int evaluate_prompts(const run::Session& session, std::span<const run::LoadedTwist> twists,
                                   report::Run rest);
/// What learning on many prompts looks at on its way: the mean over them of one twist's evaluations.
[[nodiscard]] estimate::Evaluation evaluate_mean_over_prompts(const run::Session& session,
                                                              const twist::Trainable& twist,
                                                              std::int64_t update);
[[nodiscard]] int evaluate_grid(const run::Session& session, std::span<const run::LoadedTwist> twists,
                                const Stopwatch& watch);

/// report::sinks_of_run() on rank 0; nobody elsewhere. `session` must outlive them. *Local.*
[[nodiscard]] report::Sinks make_sinks(const run::Session& session,
                                       std::optional<std::int64_t> updates_done = {});

/// Tells the sinks that the run is finished; `rest` has what a session does not know, its counters are this
/// rank's. *Collective over the world.*
void finish(const run::Session& session, report::Sinks& sinks, report::Columns columns, report::Run rest);
/// The same at the end of `evaluate`, which keeps results of earlier ones under other names.
void finish_evaluation(const run::Session& session, report::Columns columns, report::Run rest);

}  // namespace twistor::app
