// SPDX-License-Identifier: Apache-2.0
// Objectives by name: the registry that a new one adds one line to.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "twistor/learn/objective.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/smc/options.hpp"

namespace twistor::learn {

struct ObjectiveKind {
  std::string_view name;
  std::unique_ptr<Objective> (*make)(const ObjectiveOptions& options);
};
/// All that a run can ask for.
[[nodiscard]] std::span<const ObjectiveKind> objective_kinds();
/// Their names, as train.objective takes them.
[[nodiscard]] std::vector<std::string_view> objective_names();

/// Throws Error(config) on a name that is not among `kinds`, listing those that are.
[[nodiscard]] std::unique_ptr<Objective> make_objective(
    std::string_view name, const ObjectiveOptions& options,
    std::span<const ObjectiveKind> kinds = objective_kinds());

/// Whether sweeps under twists of that objective may be resampled. *Local.* Throws Error(config) if they may
/// not and are to be, at a small ESS: psi_t is then known only up to a factor of each prefix.
[[nodiscard]] bool may_resample(const Objective& objective, std::string_view name, smc::Trigger trigger);

/// Sequences that sweeps draw for one update of that objective. *Local.*
[[nodiscard]] std::int64_t samples_of_update(std::string_view objective, const ObjectiveOptions& options);

}  // namespace twistor::learn
