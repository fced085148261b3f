// SPDX-License-Identifier: Apache-2.0
// Terminal potentials phi: what makes a sequence good.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/token_automaton.hpp"

namespace twistor::potential {

/// n generated sequences of T tokens after one common prompt. Row-major (n, T); the prompt is not repeated
/// in them.
struct Sequences {
  std::span<const std::int64_t> prompt;  // (L)
  std::span<const std::int64_t> tokens;  // (n * T)
  std::int64_t length = 0;               // T
  [[nodiscard]] std::int64_t size() const {
    return length == 0 ? 0 : static_cast<std::int64_t>(tokens.size()) / length;
  }
};

/// log phi(prompt, s). *Local*; batched; deterministic; row i depends on row i alone. -inf is legal, NaN and
/// +inf are not.
class Potential {
 public:
  virtual ~Potential() = default;
  /// (n) float64.
  [[nodiscard]] virtual std::vector<double> log_phi(const Sequences& sequences) const = 0;
  /// log of what the beginning of a text, of t < T tokens, promises: what twists may be multiplied with
  /// between steps (smc.prefix_weight). Here phi of that beginning, as if it were all. Estimates are unbiased
  /// whatever it is. // (n) float64
  [[nodiscard]] virtual std::vector<double> log_phi_of_prefix(const Sequences& prefixes) const {
    return log_phi(prefixes);
  }
  /// An upper bound of log phi over all sequences, for rejection sampling; +inf if none is known.
  [[nodiscard]] virtual double log_phi_bound() const = 0;
  /// One line for people.
  [[nodiscard]] virtual std::string description() const = 0;
  /// sha256 of what defines this beyond its options and the plain files that these name: the contents of a
  /// folder, say. Empty where there is nothing of the kind.
  [[nodiscard]] virtual std::string fingerprint() const { return {}; }

  /// Where phi is the probability of an observation, phi(s) = p(o | s), the same for another o; what they are
  /// made of is shared. nullptr where it is none, an exponent or a threshold included. o: tokens, or the
  /// number of a class.
  [[nodiscard]] virtual std::unique_ptr<Potential> given(std::span<const std::int64_t>) const {
    return nullptr;
  }
  /// log phi of each sequence and its own observation, as given(o_i) gives it; in fewer passes where it can.
  /// observations: n of equal length, one after another. // (n) float64
  [[nodiscard]] virtual std::vector<double> log_phi_given(const Sequences& sequences,
                                                          std::span<const std::int64_t> observations) const;
  /// The o that this is of; empty where there is none.
  [[nodiscard]] virtual std::vector<std::int64_t> observation() const { return {}; }
  /// Classes that such an o may be, of which every s has exactly one; 0 where o is not a class.
  [[nodiscard]] virtual std::int64_t n_classes() const { return 0; }

  /// phi as an automaton over the generated tokens after that prompt, for twists that are computed; nothing
  /// where it is none.
  [[nodiscard]] virtual std::optional<model::TokenAutomaton> automaton(
      std::span<const std::int64_t> /*prompt*/, std::int64_t /*vocab_size*/) const {
    return std::nullopt;
  }
};

}  // namespace twistor::potential
