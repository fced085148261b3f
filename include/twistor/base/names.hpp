// SPDX-License-Identifier: Apache-2.0
// Names of the values of an enum: one table gives parsing, the text of a value, and the choices for help and
// messages.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "twistor/base/error.hpp"

namespace twistor {

/// One value and its name.
template <class E>
struct Named {
  E value;
  std::string_view name;
};
template <class E>
Named(E, std::string_view) -> Named<E>;

/// An enum has names if a function names_of stands beside it, which returns the table in the order of help:
///
///     enum class Order { resample_first, draw_first };
///     constexpr auto names_of(Order) {
///       return std::array{Named{Order::resample_first, "resample_first"}, Named{Order::draw_first,
///       "draw_first"}};
///     }
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E value) {
  names_of(value).size();
};

namespace detail {

/// Refuses, at compile time, a table in which a value or a name stands twice.
template <class E, std::size_t N>
consteval std::array<Named<E>, N> checked_names(std::array<Named<E>, N> table) {
  for (std::size_t i = 0; i < N; ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (table[i].name == table[j].name || table[i].value == table[j].value) throw "not one to one";
  return table;
}

template <NamedEnum E>
inline constexpr auto name_table = checked_names(names_of(E{}));

[[noreturn]] void throw_unknown_name(std::string_view name, std::string_view key,
                                     std::span<const std::string_view> choices, const std::string& doing);

}  // namespace detail

/// The names of all values; of several enums that share a key, each name once. *Local.*
template <NamedEnum... Es>
[[nodiscard]] std::vector<std::string_view> choices_of() {
  std::vector<std::string_view> out;
  const auto add = [&out](std::string_view name) {
    for (const std::string_view known : out)
      if (known == name) return;
    out.push_back(name);
  };
  (
      [&] {
        for (const auto& named : detail::name_table<Es>) add(named.name);
      }(),
      ...);
  return out;
}

/// The value's name. *Local.*
template <NamedEnum E>
[[nodiscard]] constexpr std::string_view name_of(E value) {
  for (const auto& named : detail::name_table<E>)
    if (named.value == value) return named.name;
  TWISTOR_ASSERT(false, "every value of the enum has a name");
}

/// The value of that name, if it is one. *Local.*
template <NamedEnum E>
[[nodiscard]] constexpr std::optional<E> find_name(std::string_view name) noexcept {
  for (const auto& named : detail::name_table<E>)
    if (named.name == name) return named.value;
  return std::nullopt;
}

/// The value of that name. Throws Error(config) that says what `key` may be. *Local.*
template <NamedEnum E>
[[nodiscard]] E from_name(std::string_view name, std::string_view key,
                          const std::string& doing = "reading the configuration") {
  if (const std::optional<E> value = find_name<E>(name)) return *value;
  detail::throw_unknown_name(name, key, choices_of<E>(), doing);
}

}  // namespace twistor
