// SPDX-License-Identifier: Apache-2.0
// Automata over tokens from patterns of tokens and from automata over bytes.
#include "twistor/model/token_automaton.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/text/decode.hpp"

namespace twistor::model {
namespace {

void check_size(std::int64_t n_states, std::int64_t vocab_size) {
  TWISTOR_CHECK(n_states <= most_transitions / vocab_size, ErrorKind::config,
                "making an automaton over tokens",
                fmt::format("{} states and {} tokens have more than {} transitions", n_states, vocab_size,
                            most_transitions),
                "take a simpler pattern or fewer words, or learn a twist (twist.form = mlp)");
}

/// What every token adds to a text: seen behind another token, because some decoders treat the first one
/// apart.
std::vector<std::string> bytes_of_tokens(const text::Tokenizer& tokenizer, std::int64_t vocab_size,
                                         std::span<const std::int64_t> silent) {
  const std::vector<std::int64_t> some = tokenizer.encode("a");
  const std::int64_t anchor = some.empty() ? 0 : some.back();
  const std::string before = text::decode_any(tokenizer, std::array{anchor});
  std::vector<std::string> out(static_cast<std::size_t>(vocab_size));
  for (std::int64_t v = 0; v < vocab_size; ++v) {
    if (std::ranges::find(silent, v) != silent.end()) continue;
    const std::string both = text::decode_any(tokenizer, std::array{anchor, v});
    out[static_cast<std::size_t>(v)] =
        both.starts_with(before) ? both.substr(before.size()) : text::decode_any(tokenizer, std::array{v});
  }
  return out;
}

/// The trie of patterns with its failure links; state 0 is its root, and every completed pattern is one
/// state.
class PatternTrie {
 public:
  explicit PatternTrie(std::span<const std::vector<std::int64_t>> patterns) {
    (void)add_node();
    for (const auto& pattern : patterns) {
      std::size_t at = 0;
      for (const std::int64_t token : pattern) {
        const auto found = children_[at].find(token);
        if (found != children_[at].end()) {
          at = found->second;
          continue;
        }
        const std::size_t child = add_node();
        children_[at][token] = child;
        at = child;
      }
      is_match_[at] = true;
    }
  }

  [[nodiscard]] TokenAutomaton automaton(std::int64_t vocab_size, double log_floor) const {
    const auto n = static_cast<std::int64_t>(children_.size());
    check_size(n + 1, vocab_size);
    TokenAutomaton out{.vocab_size = vocab_size, .n_states = n + 1};
    const auto width = static_cast<std::size_t>(vocab_size);
    const auto matched = static_cast<std::int32_t>(n);  // once for all
    out.next.assign(static_cast<std::size_t>(n + 1) * width, 0);
    std::fill(out.next.end() - vocab_size, out.next.end(), matched);
    std::vector<std::size_t> open{0}, failure(children_.size(), 0);
    for (std::size_t i = 0; i < open.size(); ++i) {  // shorter prefixes first: rows of failures are there
      const std::size_t s = open[i];
      const auto row = out.next.begin() + static_cast<std::ptrdiff_t>(s * width);
      if (s != 0) std::copy_n(out.next.begin() + static_cast<std::ptrdiff_t>(failure[s] * width), width, row);
      for (const auto& [token, child] : children_[s]) {
        failure[child] = s == 0 ? 0 : static_cast<std::size_t>(row[token]);
        // A suffix that matches has matched too: its row's entry is `matched` already.
        if (s == 0 || row[token] != matched)
          row[token] = is_match_[child] ? matched : static_cast<std::int32_t>(child);
        if (row[token] != matched) open.push_back(child);
      }
    }
    out.log_final.assign(static_cast<std::size_t>(n + 1), log_floor);
    out.log_final.back() = 0;
    return out;
  }

 private:
  std::size_t add_node() {
    children_.emplace_back();
    is_match_.push_back(false);
    return children_.size() - 1;
  }

  std::vector<std::map<std::int64_t, std::size_t>> children_;
  std::vector<bool> is_match_;
};

}  // namespace

std::string TokenAutomaton::fingerprint() const {
  Sha256 sha;
  sha.add(fmt::format("automaton of {} states from {}, {} tokens\n", n_states, start, vocab_size));
  sha.add(std::as_bytes(std::span(next)));
  for (const auto* const part : {&log_weight, &log_last, &log_final}) {
    sha.add(fmt::format("{}\n", part->size()));
    sha.add(std::as_bytes(std::span(*part)));
  }
  return sha.finish_hex();
}

TokenAutomaton automaton_of_patterns(std::span<const std::vector<std::int64_t>> patterns,
                                     std::int64_t vocab_size, double log_floor) {
  return PatternTrie(patterns).automaton(vocab_size, log_floor);
}

TokenAutomaton automaton_of_bytes(const text::ByteAutomaton& bytes, const text::Tokenizer& tokenizer,
                                  std::int64_t vocab_size, std::string_view before,
                                  std::span<const std::int64_t> silent, double log_floor) {
  const std::vector<std::string> of_token = bytes_of_tokens(tokenizer, vocab_size, silent);
  TokenAutomaton out{.vocab_size = vocab_size, .is_exact = false};
  std::map<std::int32_t, std::int32_t> index;  // of the states that whole tokens lead to
  std::vector<std::int32_t> states;
  const auto state_of = [&](std::int32_t state) {
    const auto [found, is_new] = index.try_emplace(state, static_cast<std::int32_t>(states.size()));
    if (is_new) states.push_back(state);
    return found->second;
  };
  (void)state_of(bytes.walk(bytes.start(), before));
  for (std::size_t s = 0; s < states.size(); ++s) {
    check_size(static_cast<std::int64_t>(states.size()), vocab_size);
    for (const std::string& token : of_token) out.next.push_back(state_of(bytes.walk(states[s], token)));
    out.log_final.push_back(bytes.is_match(states[s]) ? 0 : log_floor);
  }
  out.n_states = static_cast<std::int64_t>(states.size());
  return out;
}

}  // namespace twistor::model
