// SPDX-License-Identifier: Apache-2.0
// Cutting at the matches of a pattern: the pre-tokenizer Split, and those that are special cases of it.
#pragma once

#include <string>

#include "scanners.hpp"
#include "twistor/text/pre_tokenizer.hpp"

namespace twistor::text {

/// What becomes of the matches ("delimiters").
enum class SplitBehavior {
  removed,               ///< they vanish
  isolated,              ///< each is a piece of its own
  merged_with_previous,  ///< each ends the piece before it; a second one in a row stands alone
  merged_with_next,      ///< each begins the piece after it; a second one in a row stands alone
  contiguous,            ///< a run of them is one piece
};

/// By the name that tokenizer.json has for it. Throws Error(data).
[[nodiscard]] SplitBehavior read_behavior(const format::JsonView& json);

/// `invert`: the text between matches is the delimiter.
[[nodiscard]] CutStep split_step(Finder find, SplitBehavior behavior, bool invert = false);

/// Matches of a string as it stands; it must not be empty.
[[nodiscard]] Finder string_finder(std::string wanted);

/// The kind "Split".
void add_split(const format::JsonView& json, PreTokenizer& out);

}  // namespace twistor::text
