// SPDX-License-Identifier: Apache-2.0
// Making the problem of an observation.
#include "twistor/smc/conditional.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"

namespace twistor::smc {

ConditionalProblem::ConditionalProblem(std::shared_ptr<const model::LanguageModel> lm, model::EndRule end,
                                       std::span<const std::int64_t> prompt,
                                       const potential::Potential& potential,
                                       model::ObservationEncoder encoder)
    : lm_(std::move(lm)),
      end_(std::move(end)),
      prompt_(prompt),
      potential_(potential),
      encoder_(std::move(encoder)) {}

const potential::Prefill& ConditionalProblem::prompt_read() const {
  if (read_ == nullptr || read_->revision != lm_->revision())
    read_ = std::make_unique<potential::Prefill>(potential::prefill(*lm_, prompt_));
  return *read_;
}

std::unique_ptr<GivenProblem> ConditionalProblem::given(std::span<const std::int64_t> observation) const {
  auto potential = potential_.given(observation);
  TWISTOR_ASSERT(potential != nullptr, "a conditional target's potential looks at observations");
  const auto conditioned = std::make_shared<model::ConditionedModel>(lm_, encoder_.encode(observation));
  const potential::Prefill& read = prompt_read();
  auto start = std::make_shared<potential::Prefill>();
  start->cache = read.cache->fork();
  start->hidden = conditioned->with_encoding(read.hidden);
  start->revision = read.revision;
  std::shared_ptr<const model::LanguageModel> lm = conditioned;
  if (end_.can_end()) {
    start->hidden = at::cat({start->hidden, at::zeros({1, 1}, start->hidden.options())}, 1);  // has not ended
    lm =
        std::make_shared<model::AbsorbingModel>(conditioned, end_, static_cast<std::int64_t>(prompt_.size()));
  }
  return std::make_unique<GivenProblem>(std::move(lm), prompt_, std::move(potential), std::move(start));
}

}  // namespace twistor::smc
