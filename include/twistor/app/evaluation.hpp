// SPDX-License-Identifier: Apache-2.0
// Measuring a twist, and whom a run tells what it finds.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "twistor/app/session.hpp"
#include "twistor/base/counters.hpp"
#include "twistor/estimate/evaluation.hpp"
#include "twistor/report/sink.hpp"

namespace twistor::app {

/// Runs all estimators, or what an interrupted evaluation of the same twist in run.output still lacks.
/// *Collective over the world.* Throws Stopped after a signal; what is done is kept.
[[nodiscard]] estimate::Evaluation evaluate_twist(const Session& session, const twist::Trainable& twist,
                                                  std::int64_t update, const store::ExactSamples& exact);

/// The same of the base model: psi = 1 and q = p0, what one has without learning at the same K. What it finds
/// is kept in run.output until forget_base(), so that a run that is interrupted later need not do it again.
/// *Collective over the world.* Throws Stopped after a signal.
[[nodiscard]] estimate::Evaluation evaluate_base(const Session& session, const store::ExactSamples& exact);
void forget_base(const Session& session);

/// The same of every policy, by the name of its section. *Collective over the world.*
[[nodiscard]] std::vector<report::NamedEvaluation> evaluate_policies(const Session& session,
                                                                     const store::ExactSamples& exact);

/// `evaluate` over the prompts of prompt.file. Returns the exit code. *Collective over the world.* Throws
/// Stopped after a signal; what is done is kept.
[[nodiscard]] int evaluate_prompts(Session& session);

/// report::sinks_of_run() on rank 0; nobody elsewhere. `session` must outlive them. *Local.*
[[nodiscard]] report::Sinks make_sinks(const Session& session, std::optional<std::int64_t> updates_done = {});

/// Tells the sinks that the run is finished. Evaluations may be null as those of report::Run; `counters` are
/// this rank's; `positives` as report::Run's. *Collective over the world.*
void finish(const Session& session, report::Sinks& sinks, const estimate::Evaluation* base,
            const estimate::Evaluation* before, const estimate::Evaluation& after, const Counters& counters,
            double total_seconds, std::vector<report::NamedEvaluation> policies = {},
            const std::string& positives = {}, std::vector<report::PromptRow> prompts = {});

}  // namespace twistor::app
