// SPDX-License-Identifier: Apache-2.0
// Python's string methods, for chat templates. Private to the text room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twistor::text::chat {

enum class Sides { left, right, both };

/// Without the characters of `set` at its sides; nullptr: without white space.
[[nodiscard]] std::string stripped(std::string_view text, Sides sides, const std::string* set);
/// At most `most` cuts; most < 0: all. Without a separator: at runs of white space, none at the ends.
[[nodiscard]] std::vector<std::string> split_at(std::string_view text, const std::string* separator,
                                                std::int64_t most);
[[nodiscard]] std::string replaced(std::string_view text, const std::string& from, const std::string& to,
                                   std::int64_t most);
/// Of ASCII letters. Throws TemplateProblem on other characters, whose cases are not known here.
[[nodiscard]] std::string upper(std::string text);
[[nodiscard]] std::string lower(std::string text);
[[nodiscard]] std::string capitalized(std::string text);
/// The first letter after each blank, '-' or opening bracket upper, the others lower.
[[nodiscard]] std::string titled(std::string text);

}  // namespace twistor::text::chat
