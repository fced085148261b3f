// Names of an enum's values: one list gives parsing, messages, choices and help.
//
// In the namespace of the enum, a function name_table returns the list:
//
//   constexpr auto name_table(Trigger) {
//     return std::array{Named{Trigger::every_step, "every_step"}, Named{Trigger::never, "never"}};
//   }
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor {

template <class Enum>
struct Named {
  Enum value;
  std::string_view name;
};

/// All names, in the order of the list.
template <class Enum>
[[nodiscard]] std::vector<std::string_view> names() {
  std::vector<std::string_view> out;
  for (const auto& entry : name_table(Enum{})) out.push_back(entry.name);
  return out;
}

/// Empty for a value that is not in the list.
template <class Enum>
[[nodiscard]] constexpr std::string_view name_of(Enum value) {
  for (const auto& entry : name_table(Enum{}))
    if (entry.value == value) return entry.name;
  return {};
}

/// nullopt for a name that is not in the list.
template <class Enum>
[[nodiscard]] constexpr std::optional<Enum> find_name(std::string_view name) {
  for (const auto& entry : name_table(Enum{}))
    if (entry.name == name) return entry.value;
  return std::nullopt;
}

/// Throws Error(config) that lists `known`. *Local.*
[[noreturn]] void fail_unknown_name(std::string_view name, const std::vector<std::string_view>& known,
                                    const std::string& doing);

/// find_name(), but throws Error(config) that lists the names; `doing` as in "reading smc.trigger".
template <class Enum>
[[nodiscard]] Enum from_name(std::string_view name, const std::string& doing) {
  if (const std::optional<Enum> found = find_name<Enum>(name)) return *found;
  fail_unknown_name(name, names<Enum>(), doing);
}

}  // namespace twistor
