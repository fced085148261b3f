// SPDX-License-Identifier: Apache-2.0
// The syntax tree of a pattern that an automaton can decide. Private to the text room.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::text {

enum class PatternKind {
  bytes,        ///< one byte of a set
  sequence,     ///< all children, one after another
  alternative,  ///< one of the children
  repeat,       ///< the only child, least to most times
  begin,        ///< before the first byte
  end,          ///< after the last byte
  boundary,     ///< between a word character and something else
  no_boundary,  ///< anywhere else
};

struct Pattern {
  PatternKind kind = PatternKind::sequence;
  std::bitset<256> set{};
  std::vector<Pattern> children{};
  int least = 0, most = 0;  ///< most < 0: any number
};

/// Throws Error(config) with `doing` and the place of what is not known.
[[nodiscard]] Pattern parse_pattern(std::string_view pattern, const std::string& doing);

}  // namespace twistor::text
