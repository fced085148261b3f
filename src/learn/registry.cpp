// SPDX-License-Identifier: Apache-2.0
// The registry of objectives. A new one: one source in objectives/, its maker and its line here.
#include "twistor/learn/registry.hpp"

#include <fmt/format.h>

#include <string>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"

namespace twistor::learn {

// Defined in objectives/NAME.cpp.
std::unique_ptr<Objective> make_ctl(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_rl(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_sixo(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_fudge(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_dpg(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_ppo(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_ratio(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_distill(const ObjectiveOptions& options);
std::unique_ptr<Objective> make_avoid(const ObjectiveOptions& options);

namespace {

constexpr ObjectiveKind all_kinds[] = {
    {"ctl", make_ctl},     {"rl", make_rl},           {"sixo", make_sixo},
    {"fudge", make_fudge}, {"dpg", make_dpg},         {"ppo", make_ppo},
    {"ratio", make_ratio}, {"distill", make_distill}, {"avoid", make_avoid},
};

std::vector<std::string_view> names_of(std::span<const ObjectiveKind> kinds) {
  std::vector<std::string_view> out;
  for (const ObjectiveKind& kind : kinds) out.push_back(kind.name);
  return out;
}

}  // namespace

std::span<const ObjectiveKind> objective_kinds() {
  return all_kinds;
}

std::vector<std::string_view> objective_names() {
  return names_of(objective_kinds());
}

std::unique_ptr<Objective> make_objective(std::string_view name, const ObjectiveOptions& options,
                                          std::span<const ObjectiveKind> kinds) {
  for (const ObjectiveKind& kind : kinds)
    if (kind.name == name) return kind.make(options);
  throw Error(
      ErrorKind::config, "reading train.objective",
      fmt::format("there is no objective '{:.60}' (expected {})", name, join_alternatives(names_of(kinds))));
}

bool may_resample(const Objective& objective, std::string_view name, smc::Trigger trigger) {
  TWISTOR_CHECK(objective.may_resample() || trigger != smc::Trigger::ess, ErrorKind::config,
                "reading smc.trigger",
                fmt::format("it is ess, and train.objective = {} fixes psi_t only up to a factor of each "
                            "prefix, which leaves q alone and spoils the weights between steps",
                            name),
                "set smc.trigger = never");
  return objective.may_resample();
}

std::int64_t samples_of_update(std::string_view objective, const ObjectiveOptions& options) {
  std::int64_t n = 0;
  const std::unique_ptr<Objective> made = make_objective(objective, options);
  for (const Request& request : made->wants())
    n += request.source == Source::exact || request.source == Source::round ? 0 : request.n;
  if (const auto plan = made->rounds()) n += (plan->samples + plan->updates - 1) / plan->updates;
  return n;
}

}  // namespace twistor::learn
