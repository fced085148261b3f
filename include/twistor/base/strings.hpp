// SPDX-License-Identifier: Apache-2.0
// Taking texts apart and putting them together.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor {

/// The text without `blanks` at its ends. *Local.*
[[nodiscard]] std::string_view trim(std::string_view text, std::string_view blanks = " \t\r");

/// The parts between separators, empty ones included: n separators make n + 1 parts. Views the text. *Local.*
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// Takes the first line off `rest`, with its line end, and returns it without. The end of the text ends a
/// line too. *Local.*
[[nodiscard]] std::string_view take_line(std::string_view& rest);

/// "a", "a or b", "a, b or c"; "nothing" if there is no choice. *Local.*
[[nodiscard]] std::string join_alternatives(std::span<const std::string_view> choices);

}  // namespace twistor
