// Short ways to write a key and its range, for the sources of visit_keys().
#pragma once

#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "twistor/config/key.hpp"

namespace twistor::config {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr Range positive{0, infinity, false, false}, non_negative{0, infinity, true, false},
    finite{-infinity, infinity, false, false}, any_number{-infinity, infinity}, at_most_0{-infinity, 0};

/// A count; the largest is well inside what a double counts exactly.
[[nodiscard]] constexpr Range count_from(double low) {
  return {low, 1e15};
}

[[nodiscard]] inline Key key(std::string_view name, std::string_view meaning, Range range = {}) {
  return {.name = name, .meaning = meaning, .range = range};
}

/// A text that names one of a few things.
[[nodiscard]] inline Key choice(std::string_view name, std::string_view meaning,
                                std::vector<std::string_view> choices) {
  return {.name = name, .meaning = meaning, .choices = std::move(choices)};
}

/// A file or folder to read.
[[nodiscard]] inline Key input(std::string_view name, std::string_view meaning) {
  return {.name = name, .meaning = meaning, .is_input = true};
}

/// A key that learning depends on: a checkpoint is continued with the same value alone.
[[nodiscard]] inline Key learning(Key key) {
  key.shapes_learning = true;
  return key;
}

}  // namespace twistor::config
