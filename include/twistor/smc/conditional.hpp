// SPDX-License-Identifier: Apache-2.0
// Conditional targets: one problem for each observation, p0(s) p(o | s), that share model, prompt and twist.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "twistor/model/conditioned_model.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/potential/prefill.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// One of them. Twists read its hidden states, beside which the observation stands.
class GivenProblem {
 public:
  GivenProblem(std::shared_ptr<const model::LanguageModel> lm, std::span<const std::int64_t> prompt,
               std::unique_ptr<potential::Potential> potential,
               std::shared_ptr<const potential::Prefill> start)
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
  /// lm: the base model, alone or with the twist's body; texts end by `end`. `potential` looks at
  /// observations (Potential::given).
  ConditionalProblem(std::shared_ptr<const model::LanguageModel> lm, model::EndRule end,
                     std::span<const std::int64_t> prompt, const potential::Potential& potential,
                     model::ObservationEncoder encoder);

  /// Columns that an observation takes in hidden states.
  [[nodiscard]] std::int64_t encoding_width() const { return encoder_.width(); }
  /// The problem of an observation, with the model as it is: one that learns makes it out of date.
  [[nodiscard]] std::unique_ptr<GivenProblem> given(std::span<const std::int64_t> observation) const;
  /// Another number whenever the model has learned.
  [[nodiscard]] std::int64_t revision() const { return lm_->revision(); }
  [[nodiscard]] const model::ObservationEncoder& encoder() const { return encoder_; }

 private:
  /// The prompt as lm_ has read it. Read anew once the model has learned.
  const potential::Prefill& prompt_read() const;

  std::shared_ptr<const model::LanguageModel> lm_;
  model::EndRule end_;
  std::span<const std::int64_t> prompt_;
  const potential::Potential& potential_;
  model::ObservationEncoder encoder_;
  mutable std::unique_ptr<potential::Prefill> read_;  // one thread makes problems
};

}  // namespace twistor::smc
