// SPDX-License-Identifier: Apache-2.0
// Regular expressions as deterministic automata over bytes, for what has to look ahead of a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::text {

/// Walks over the bytes of a text, one state after another, and knows at each whether the text up to there
/// has a match in it. Immutable.
class ByteAutomaton {
 public:
  /// From a pattern in the part of Perl's syntax that needs no memory: literals, classes, groups, |,
  /// quantifiers, ^ $ \A \z \Z \b \B, \d \s \w and their opposites, (?i) at the beginning. Over ASCII it
  /// decides as Regex does; a character beyond it counts as a letter, as one of \W and of every [^...] too.
  /// Throws Error(config) with `doing` on what no automaton can do or this one does not know, saying where,
  /// and on more than 2,000 states.
  [[nodiscard]] static ByteAutomaton of_pattern(std::string_view pattern, const std::string& doing);

  /// Several side by side: a text has a match where `decides` says so of which of them have one. What no text
  /// can tell apart is one state (Moore 1956). Throws Error(config) with `doing` on more than 2,000 states.
  [[nodiscard]] static ByteAutomaton combined(std::span<const ByteAutomaton> parts,
                                              const std::function<bool(const std::vector<bool>&)>& decides,
                                              const std::string& doing);

  [[nodiscard]] std::size_t n_states() const { return is_match_.size(); }
  [[nodiscard]] std::int32_t start() const { return 0; }
  [[nodiscard]] std::int32_t step(std::int32_t state, unsigned char byte) const {
    return next_[static_cast<std::size_t>(state) * 256 + byte];
  }
  /// The state after more bytes.
  [[nodiscard]] std::int32_t walk(std::int32_t state, std::string_view bytes) const;
  /// Whether a text that ends in this state has a match.
  [[nodiscard]] bool is_match(std::int32_t state) const { return is_match_[static_cast<std::size_t>(state)]; }

 private:
  friend class AutomatonBuilder;
  [[nodiscard]] ByteAutomaton smallest() const;

  std::vector<std::int32_t> next_;  // (states, 256)
  std::vector<bool> is_match_;      // (states)
};

}  // namespace twistor::text
