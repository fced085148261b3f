// SPDX-License-Identifier: Apache-2.0
// Hand-written scanners for the regular expressions that pre-tokenizers are known for.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "twistor/format/json.hpp"
#include "twistor/text/regex.hpp"

namespace twistor::text {

using Matches = std::vector<Regex::Match>;

/// The matches of a pattern in a text, as Regex::find_all() gives them. Pure, thread-safe, linear in the
/// text.
using Finder = std::function<Matches(std::string_view text)>;

/// The scanner for a pattern spelled exactly so; nullptr if there is none. Invalid bytes count as \p{C}.
/// *Local.*
[[nodiscard]] Finder find_scanner(std::string_view regex);

/// GPT-2's: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
[[nodiscard]] Matches scan_gpt2(std::string_view text);

/// A pattern of the reference's dialect (Oniguruma's default syntax) in PCRE2's: \s, \w, \h and \b are
/// spelled by the Unicode properties that they have there. Empty if it cannot be said (nested or intersected
/// classes, \W inside a class). *Local.*
[[nodiscard]] std::string translate_dialect(std::string_view oniguruma);

/// A string with such a pattern, compiled. Throws Error(data) about it.
[[nodiscard]] Regex read_regex(const format::JsonView& pattern);

}  // namespace twistor::text
