// SPDX-License-Identifier: Apache-2.0
// The problem of one prompt among many, which share model and potential.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "twistor/model/absorbing.hpp"
#include "twistor/potential/potential.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::smc {

/// Reads the prompt once. References must outlive it. *Local.*
class PromptedProblem {
 public:
  /// `lm` may end texts, and may have been made for a prompt of another length.
  PromptedProblem(const std::shared_ptr<const model::LanguageModel>& lm, std::span<const std::int64_t> prompt,
                  const potential::Potential& potential)
      : lm_(model::for_prompt(lm, static_cast<std::int64_t>(prompt.size()))),
        problem_(Problem{*lm_, prompt, potential}.with_start()) {}
  PromptedProblem(const PromptedProblem&) = delete;
  PromptedProblem& operator=(const PromptedProblem&) = delete;

  [[nodiscard]] const Problem& problem() const { return problem_; }

 private:
  std::shared_ptr<const model::LanguageModel> lm_;
  Problem problem_;
};

}  // namespace twistor::smc
