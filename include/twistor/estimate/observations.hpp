// SPDX-License-Identifier: Apache-2.0
// Evaluations of a conditional twist: the estimators on the target of each of some observations, and means
// over these.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/exact/pair_set.hpp"
#include "twistor/smc/conditional.hpp"

namespace twistor::estimate {

struct ObservationsOptions {
  /// Of each observation's evaluation, whose seed and exact sample are its own. `known` and `enumerate`
  /// follow from `config`: a target is enumerated where all of them together have at most so many sequences.
  EvaluationOptions each;
  Options config{};
  smc::ProposalOptions proposal{};
  /// As EvaluationOptions::save.
  std::function<void(const std::vector<Findings>&)> save{};
};

/// Evaluates the twist on the targets of the pairs' observations, one after another, each with the pair's
/// sequence as its exact sample; goes on from `found`. Nothing if it was interrupted. The result has the list
/// of all estimates, as means over observations with their standard errors over observations, and
/// Evaluation::observations. Divergences are made with each observation's own log Z. *Collective over
/// world.*
[[nodiscard]] std::optional<Evaluation> evaluate_observations(
    const smc::ConditionalProblem& problems, const twist::Twist& twist, const store::ExactSamples& pairs,
    const ObservationsOptions& options, const comm::Communicator& world, const comm::Groups& groups,
    std::vector<Findings>& found);

/// Means over evaluations of single targets, each estimate over those for which it could be made, which
/// Estimate::n counts. `over`: &Evaluation::observations, ::prompts or ::seeds, where their number goes.
/// *Local.*
[[nodiscard]] Evaluation mean_over(std::span<const Evaluation> evaluations, std::int64_t Evaluation::*over);

/// Findings of several observations as numbers, for a file, and back. *Local.* Throws Error(data) if their
/// number is not what they say.
[[nodiscard]] std::vector<double> to_numbers(const std::vector<Findings>& found);
[[nodiscard]] std::vector<Findings> list_of_findings(std::span<const double> numbers);

}  // namespace twistor::estimate
