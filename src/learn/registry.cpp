// SPDX-License-Identifier: Apache-2.0
// The registry of objectives. A new one: one source in objectives/, and its line here.
#include "twistor/learn/registry.hpp"

#include <fmt/format.h>

#include <string>

#include "twistor/base/error.hpp"
#include "twistor/base/strings.hpp"

namespace twistor::learn {

// objectives/NAME.cpp defines make_NAME().
// clang-format off
#define TWISTOR_OBJECTIVES(objective) \
  objective(ctl) \
  objective(rl) \
  objective(sixo) \
  objective(fudge) \
  objective(dpg) \
  objective(ppo) \
  objective(ratio) \
  objective(distill) \
  objective(avoid)
// clang-format on

#define TWISTOR_DECLARE_MAKER(name) std::unique_ptr<Objective> make_##name(const ObjectiveOptions& options);
TWISTOR_OBJECTIVES(TWISTOR_DECLARE_MAKER)
#undef TWISTOR_DECLARE_MAKER

namespace {

#define TWISTOR_KIND(name) ObjectiveKind{#name, make_##name},
constexpr ObjectiveKind all_kinds[] = {TWISTOR_OBJECTIVES(TWISTOR_KIND)};
#undef TWISTOR_KIND

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
