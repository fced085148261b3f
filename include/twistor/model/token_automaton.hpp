// SPDX-License-Identifier: Apache-2.0
// Finite automata over tokens: what a potential needs to remember of a text to know its value at the end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twistor/text/byte_automaton.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// phi(s) = product of weight(s_t) over t, times last(s_T), times final(state after s). A value; immutable.
struct TokenAutomaton {
  std::int64_t vocab_size = 0, n_states = 0, start = 0;
  std::vector<std::int32_t> next{};  ///< (n_states, V)
  std::vector<double> log_weight{};  ///< (V) of every token; empty: 0
  std::vector<double> log_last{};    ///< (V) of the last token; empty: 0
  std::vector<double> log_final{};   ///< (n_states)
  /// Whether phi is this, to the last text. Otherwise it may take texts for worthless that are not.
  bool is_exact = true;

  [[nodiscard]] std::int64_t after(std::int64_t state, std::int64_t token) const {
    return next[static_cast<std::size_t>(state * vocab_size + token)];
  }
  [[nodiscard]] double log_weight_of(std::int64_t token) const {
    return log_weight.empty() ? 0 : log_weight[static_cast<std::size_t>(token)];
  }
  /// sha256 of all of it.
  [[nodiscard]] std::string fingerprint() const;
};

/// Most entries of a table of transitions: 256 MiB.
inline constexpr std::int64_t most_transitions = std::int64_t{1} << 26;

/// 1 if one of the patterns occurs as consecutive tokens, else exp(log_floor) (Aho and Corasick 1975).
/// *Local.* Throws Error(config) where the table would be too large.
[[nodiscard]] TokenAutomaton automaton_of_patterns(std::span<const std::vector<std::int64_t>> patterns,
                                                   std::int64_t vocab_size, double log_floor);

/// 1 if the bytes of the text, which begins with those of `before`, have a match, else exp(log_floor): found
/// across the borders of tokens. A token's bytes are those that it adds to a text. Tokens of `silent` add
/// none. *Local.* Throws Error(config) where the table would be too large.
[[nodiscard]] TokenAutomaton automaton_of_bytes(const text::ByteAutomaton& bytes,
                                                const text::Tokenizer& tokenizer, std::int64_t vocab_size,
                                                std::string_view before, std::span<const std::int64_t> silent,
                                                double log_floor);

}  // namespace twistor::model
