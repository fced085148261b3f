// Where a generated text ends: the one object that samplers, forced passes, potentials and learning ask.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace twistor::model {

/// The end-of-text token is absorbing: after it has been generated only itself follows, so that sequences of
/// T tokens stand for texts of at most T. Tokens of the prompt never end anything; many models begin every
/// text with the same token. All consequences follow from has_ended():
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
  explicit EndRule(std::int64_t token) : token_(token) {}

  /// -1 if texts never end.
  [[nodiscard]] std::int64_t token() const { return token_; }
  [[nodiscard]] bool can_end() const { return token_ >= 0; }
  /// Whether a text ends with this generated token (or has ended before, and this token repeats the end).
  [[nodiscard]] bool is_end(std::int64_t token) const { return can_end() && token == token_; }
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

  /// The tokens of one generated sequence up to and including its first end token; all if it has none.
  [[nodiscard]] std::span<const std::int64_t> until_end(std::span<const std::int64_t> tokens) const;
  /// The same without the end token: what belongs to the text.
  [[nodiscard]] std::span<const std::int64_t> before_end(std::span<const std::int64_t> tokens) const;

  friend bool operator==(const EndRule&, const EndRule&) = default;

 private:
  std::int64_t token_ = -1;
};

}  // namespace twistor::model
