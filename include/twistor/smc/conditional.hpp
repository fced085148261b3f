// SPDX-License-Identifier: Apache-2.0
// Conditional targets: one problem for each observation, p0(s) p(o | s), that share model, prompt and twist.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "twistor/model/condition.hpp"
#include "twistor/model/conditioned_model.hpp"
#include "twistor/model/prefill.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// One of them. Twists read its hidden states, beside which the observation stands.
class GivenProblem {
 public:
  GivenProblem(std::shared_ptr<const model::LanguageModel> lm, std::span<const std::int64_t> prompt,
               std::unique_ptr<potential::Potential> potential, std::shared_ptr<const model::Prefill> start)
      : lm_(std::move(lm)), potential_(std::move(potential)), problem_{*lm_, prompt, *potential_, start} {}
  GivenProblem(const GivenProblem&) = delete;
  GivenProblem& operator=(const GivenProblem&) = delete;

  [[nodiscard]] const Problem& problem() const { return problem_; }

 private:
  std::shared_ptr<const model::LanguageModel> lm_;
  std::unique_ptr<potential::Potential> potential_;
  Problem problem_;
};

/// *Local.* References must outlive it and what it gives.
class ConditionalProblem {
 public:
  /// lm: the base model, alone or with the twist's body, which may end texts. `body`: what makes the body's
  /// hidden states, nullptr if heads read the base model's; it reads tokens that are observed. `potential`
  /// looks at observations (Potential::given).
  ConditionalProblem(std::shared_ptr<const model::LanguageModel> lm,
                     std::shared_ptr<const model::LanguageModel> body, std::span<const std::int64_t> prompt,
                     const potential::Potential& potential, model::Condition condition);

  /// Columns that an observation takes in hidden states.
  [[nodiscard]] std::int64_t encoding_width() const { return encoder_.width(); }
  /// The problem of an observation, with the model as it is: one that learns makes it out of date.
  [[nodiscard]] std::unique_ptr<GivenProblem> given(std::span<const std::int64_t> observation) const {
    return together(observation, 1);
  }
  /// m problems as one, for sweep_islands() and hidden_states(): the start has a sequence for each
  /// observation, and of n sequences whose phi is asked the first n / m go with the first observation.
  /// observations: of equal length, one after another.
  [[nodiscard]] std::unique_ptr<GivenProblem> together(std::span<const std::int64_t> observations,
                                                       std::int64_t m) const;
  /// The same, kept as long as this is: the last one as long as it is up to date.
  [[nodiscard]] const Problem& kept(std::span<const std::int64_t> observation) const;

 private:
  /// The prompt as lm_ has read it. Read anew once the model has learned.
  const model::Prefill& prompt_read() const;

  std::shared_ptr<const model::LanguageModel> lm_;  // without the end rule
  model::EndRule end_;
  std::span<const std::int64_t> prompt_;
  const potential::Potential& potential_;
  model::ObservationEncoder encoder_;
  // One thread makes problems.
  mutable std::unique_ptr<model::Prefill> read_;
  mutable std::deque<std::unique_ptr<GivenProblem>> kept_;
};

}  // namespace twistor::smc
