// SPDX-License-Identifier: Apache-2.0
// A potential, and a scorer of texts, that hold another to the contract: every kind that the registry makes
// is wrapped in one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "twistor/potential/potential.hpp"
#include "twistor/potential/text_potential.hpp"

namespace twistor::potential {

/// Checks what goes in (whole sequences, tokens in the vocabulary) and what comes out: one value a sequence,
/// no NaN, no +inf, none above the stated bound. Throws Error(usage) for the former, Error(data) naming the
/// potential for the latter.
class CheckedPotential final : public Potential {
 public:
  /// vocab_size 0: token ranges are not checked.
  CheckedPotential(std::string name, std::unique_ptr<Potential> inner, std::int64_t vocab_size);

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  [[nodiscard]] std::vector<double> log_phi_of_prefix(const Sequences& prefixes) const override;
  [[nodiscard]] double log_phi_bound() const override { return inner_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return inner_->description(); }
  [[nodiscard]] std::string fingerprint() const override { return inner_->fingerprint(); }
  [[nodiscard]] std::unique_ptr<Potential> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<double> log_phi_given(const Sequences& sequences,
                                                  std::span<const std::int64_t> observations) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return inner_->observation(); }
  [[nodiscard]] std::int64_t n_classes() const override { return inner_->n_classes(); }
  [[nodiscard]] std::optional<model::TokenAutomaton> automaton(std::span<const std::int64_t> prompt,
                                                               std::int64_t vocab_size) const override {
    return inner_->automaton(prompt, vocab_size);
  }

 private:
  void check(const Sequences& sequences) const;
  [[nodiscard]] std::vector<double> checked(std::vector<double> values, const Sequences& sequences) const;

  std::string name_;
  std::unique_ptr<Potential> inner_;
  std::int64_t vocab_size_;
};

/// The same checks of what comes out of a scorer; messages name the text.
class CheckedScorer final : public TextScorer {
 public:
  CheckedScorer(std::string name, std::unique_ptr<TextScorer> inner);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] bool reads_pairs() const override { return inner_->reads_pairs(); }
  [[nodiscard]] std::vector<double> log_phi_of_answers(const std::string& prompt,
                                                       std::span<const std::string> answers) const override;
  [[nodiscard]] double log_phi_bound() const override { return inner_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return inner_->description(); }
  [[nodiscard]] std::string fingerprint() const override { return inner_->fingerprint(); }
  [[nodiscard]] std::unique_ptr<TextScorer> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return inner_->observation(); }
  [[nodiscard]] std::int64_t n_classes() const override { return inner_->n_classes(); }
  [[nodiscard]] std::optional<TextAutomaton> automaton() const override { return inner_->automaton(); }

 private:
  [[nodiscard]] std::vector<double> checked(std::vector<double> values,
                                            std::span<const std::string> texts) const;

  std::string name_;
  std::unique_ptr<TextScorer> inner_;
};

}  // namespace twistor::potential
