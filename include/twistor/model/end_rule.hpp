// SPDX-License-Identifier: Apache-2.0
// Where a generated text ends: the one object that samplers, forced passes, potentials and learning ask.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::model {

/// The end-of-text token is absorbing: after it has been generated only itself follows, so that sequences of
/// T tokens stand for texts of at most T. Where several tokens end a text, the first of them is the canonical
/// one: it follows after each of them, so that a text that has ended has one continuation. Tokens of the
/// prompt never end anything; many models begin every text with the same token. All consequences follow from
/// has_ended():
///   - p0(end | ...) = 1 in the steps that it marks (AbsorbingModel, whose hidden states carry the same
///   mask),
///   - psi stays what it was at the end token (carry()),
///   - these steps leave the weights alone: p0 / q = 1 and psi_t / psi_{t-1} = 1.
/// A value; everything is *local*.
class EndRule {
 public:
  /// Texts never end.
  EndRule() = default;
  /// `token` ends a text; -1: none does.
  explicit EndRule(std::int64_t token);
  /// Each of these ids ends a text, and the first of them follows; repeated ids count once.
  explicit EndRule(const std::vector<std::int64_t>& tokens);

  /// The token that fills a text that has ended; -1 if texts never end.
  [[nodiscard]] std::int64_t token() const { return tokens_.empty() ? -1 : tokens_.front(); }
  /// All tokens that end a text.
  [[nodiscard]] const std::vector<std::int64_t>& tokens() const { return tokens_; }
  [[nodiscard]] bool can_end() const { return !tokens_.empty(); }
  /// Whether a text ends with this generated token (or has ended before, and this token repeats the end).
  [[nodiscard]] bool is_end(std::int64_t token) const {
    for (const std::int64_t end : tokens_)
      if (token == end) return true;
    return false;
  }
  /// Whether the text had ended before s_t. tokens: the generated ones, of which s_0 ... s_{t-1} are looked
  /// at.
  [[nodiscard]] bool has_ended(std::span<const std::int64_t> tokens, std::int64_t t) const {
    return t > 0 && is_end(tokens[static_cast<std::size_t>(t) - 1]);
  }

  /// has_ended() of every step of sequences, (n * T) row-major, as 0 or 1.
  [[nodiscard]] std::vector<char> mask(std::span<const std::int64_t> tokens, std::int64_t T) const;
  /// Gives the steps after the end the value of the step before: psi stays what it was. Both (n * T).
  void carry(std::span<const std::int64_t> tokens, std::int64_t T, std::span<double> log_psi) const;
  /// What steps after the end would teach psi is taught at the end token: moves their weights there. Both
  /// (n * T).
  void move_to_end(std::span<const std::int64_t> tokens, std::int64_t T, std::span<double> weight) const;

  /// The tokens of one generated sequence up to and including the first that ends it; all if none does.
  [[nodiscard]] std::span<const std::int64_t> until_end(std::span<const std::int64_t> tokens) const;
  /// The same without the end token: what belongs to the text.
  [[nodiscard]] std::span<const std::int64_t> before_end(std::span<const std::int64_t> tokens) const;

  friend bool operator==(const EndRule&, const EndRule&) = default;

 private:
  std::vector<std::int64_t> tokens_;
};

}  // namespace twistor::model
