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

namespace {

std::shared_ptr<const model::LanguageModel> without_end(
    const std::shared_ptr<const model::LanguageModel>& lm) {
  return {lm, &lm->without_end()};
}

model::ObservationEncoder encoder_for(model::Condition condition,
                                      const std::shared_ptr<const model::LanguageModel>& reader,
                                      const potential::Potential& potential) {
  if (condition == model::Condition::tokens) return model::ObservationEncoder::of_tokens(reader);
  return model::ObservationEncoder::of_classes(potential.n_classes(), *reader);
}

}  // namespace

ConditionalProblem::ConditionalProblem(std::shared_ptr<const model::LanguageModel> lm,
                                       std::shared_ptr<const model::LanguageModel> body,
                                       std::span<const std::int64_t> prompt,
                                       const potential::Potential& potential, model::Condition condition)
    : lm_(without_end(lm)),
      end_(lm->end_rule()),
      prompt_(prompt),
      potential_(potential),
      encoder_(encoder_for(condition, body != nullptr ? body : lm_, potential)) {}

const Problem& ConditionalProblem::kept(std::span<const std::int64_t> observation) const {
  if (kept_.empty() || !kept_.back()->problem().has_start()) kept_.push_back(given(observation));
  return kept_.back()->problem();
}

const model::Prefill& ConditionalProblem::prompt_read() const {
  if (read_ == nullptr || read_->revision != lm_->revision())
    read_ = std::make_unique<model::Prefill>(model::prefill(*lm_, prompt_));
  return *read_;
}

std::unique_ptr<GivenProblem> ConditionalProblem::given(std::span<const std::int64_t> observation) const {
  auto potential = potential_.given(observation);
  TWISTOR_ASSERT(potential != nullptr, "a conditional target's potential looks at observations");
  const auto conditioned = std::make_shared<model::ConditionedModel>(lm_, encoder_.encode(observation));
  const model::Prefill& read = prompt_read();
  auto start = std::make_shared<model::Prefill>();
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
