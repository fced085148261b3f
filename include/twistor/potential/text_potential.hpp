// SPDX-License-Identifier: Apache-2.0
// Potentials that look at text: a scorer of texts, and what makes a potential of sequences out of one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/end_rule.hpp"
#include "twistor/potential/option_values.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/text/byte_automaton.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::potential {

/// phi(text) = 1 where the bytes have a match, else exp(log_floor).
struct TextAutomaton {
  text::ByteAutomaton bytes;
  double log_floor = 0;
};

/// log phi of texts. *Local*; batched; deterministic; value i depends on text i alone. Texts are bytes that
/// need not be UTF-8. -inf is legal, NaN and +inf are not.
class TextScorer {
 public:
  virtual ~TextScorer() = default;
  /// (n) float64.
  [[nodiscard]] virtual std::vector<double> log_phi(std::span<const std::string> texts) const = 0;
  /// Whether log_phi_of_answers() is there.
  [[nodiscard]] virtual bool reads_pairs() const { return false; }
  /// (n) float64 of answers to one prompt, for those who read the two as a pair. Throws Error(usage)
  /// otherwise.
  [[nodiscard]] virtual std::vector<double> log_phi_of_answers(const std::string& prompt,
                                                               std::span<const std::string> answers) const;
  /// An upper bound of log phi over all texts; +inf if none is known.
  [[nodiscard]] virtual double log_phi_bound() const = 0;
  /// One line for people.
  [[nodiscard]] virtual std::string description() const = 0;
  /// As Potential::fingerprint(), given(), observation(), n_classes().
  [[nodiscard]] virtual std::string fingerprint() const { return {}; }
  [[nodiscard]] virtual std::unique_ptr<TextScorer> given(std::span<const std::int64_t>) const {
    return nullptr;
  }
  [[nodiscard]] virtual std::vector<std::int64_t> observation() const { return {}; }
  [[nodiscard]] virtual std::int64_t n_classes() const { return 0; }
  /// phi as an automaton, for twists that are computed; nothing where it is none.
  [[nodiscard]] virtual std::optional<TextAutomaton> automaton() const { return std::nullopt; }
};

/// The text of each sequence: of prompt and generation, or else of the generation alone. A text ends before
/// the first token that ends it, and begins after the special tokens that the tokenizer puts in front of
/// texts: these are for the model, not for readers. *Local.* // (n)
[[nodiscard]] std::vector<std::string> decoded_texts(const Sequences& sequences,
                                                     const text::Tokenizer& tokenizer, TextScope scope,
                                                     const model::EndRule& end);

/// What a prompt says to readers of text: all but the special tokens in front. *Local.*
[[nodiscard]] std::string decoded_prompt(std::span<const std::int64_t> prompt,
                                         const text::Tokenizer& tokenizer);

/// Decodes prompt and generation, or the generation alone, and scores the text; each different text of a
/// batch once, because particles that share all their ancestors are common.
class TextPotential final : public Potential {
 public:
  /// The tokenizer must outlive this. `question`: what generations answer where scope is pair; empty: the
  /// prompt.
  TextPotential(std::unique_ptr<TextScorer> scorer, const text::Tokenizer& tokenizer, TextScope scope,
                model::EndRule end = {}, std::string question = {});

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  [[nodiscard]] double log_phi_bound() const override { return scorer_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override { return scorer_->fingerprint(); }
  [[nodiscard]] std::unique_ptr<Potential> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return scorer_->observation(); }
  [[nodiscard]] std::int64_t n_classes() const override { return scorer_->n_classes(); }
  /// The scorer's, lifted to tokens.
  [[nodiscard]] std::optional<model::TokenAutomaton> automaton(std::span<const std::int64_t> prompt,
                                                               std::int64_t vocab_size) const override;

 private:
  std::unique_ptr<TextScorer> scorer_;
  const text::Tokenizer& tokenizer_;
  TextScope scope_;
  model::EndRule end_;
  std::string question_;
};

}  // namespace twistor::potential
