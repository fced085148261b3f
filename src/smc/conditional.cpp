// SPDX-License-Identifier: Apache-2.0
// Making the problem of an observation.
#include "twistor/smc/conditional.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <numeric>
#include <string>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/model/absorbing.hpp"

namespace twistor::smc {

namespace {

/// phi of sequences of which equally many, one after another, go with each of some observations.
class PotentialOfEach final : public potential::Potential {
 public:
  PotentialOfEach(const potential::Potential& of_all, std::span<const std::int64_t> observations,
                  std::int64_t m)
      : of_all_(of_all),
        observations_(observations.begin(), observations.end()),
        width_(observations_.size() / static_cast<std::size_t>(m)) {}

  [[nodiscard]] std::vector<double> log_phi(const potential::Sequences& sequences) const override {
    const auto m = static_cast<std::int64_t>(observations_.size() / width_);
    const std::int64_t n_each = sequences.size() / m;
    TWISTOR_ASSERT(n_each * m == sequences.size(), "as many sequences go with each observation");
    std::vector<std::int64_t> of_each;
    for (std::size_t i = 0; i < observations_.size(); i += width_)
      for (std::int64_t j = 0; j < n_each; ++j) {
        const auto o = std::span(observations_).subspan(i, width_);
        of_each.insert(of_each.end(), o.begin(), o.end());
      }
    return of_all_.log_phi_given(sequences, of_each);
  }
  [[nodiscard]] double log_phi_bound() const override { return of_all_.log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return of_all_.description(); }

 private:
  const potential::Potential& of_all_;
  std::vector<std::int64_t> observations_;
  std::size_t width_;  // of one
};

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

std::unique_ptr<GivenProblem> ConditionalProblem::together(std::span<const std::int64_t> observations,
                                                           std::int64_t m) const {
  std::unique_ptr<potential::Potential> potential =
      m == 1 ? potential_.given(observations)
             : std::make_unique<PotentialOfEach>(potential_, observations, m);
  TWISTOR_ASSERT(potential != nullptr, "a conditional target's potential looks at observations");
  const auto conditioned = std::make_shared<model::ConditionedModel>(lm_, encoder_.encode(observations, m));
  const model::Prefill& read = prompt_read();
  std::vector<std::int64_t> which(static_cast<std::size_t>(m));
  std::iota(which.begin(), which.end(), std::int64_t{0});
  auto start = std::make_shared<model::Prefill>();
  start->cache = m == 1 ? read.cache->fork() : conditioned->with_observations(read.fork(m));
  start->hidden = conditioned->with_encoding(read.hidden.expand({m, read.hidden.size(1)}), which);
  start->revision = read.revision;
  std::shared_ptr<const model::LanguageModel> lm = conditioned;
  if (end_.can_end()) {
    start->hidden = at::cat({start->hidden, at::zeros({m, 1}, start->hidden.options())}, 1);  // has not ended
    lm =
        std::make_shared<model::AbsorbingModel>(conditioned, end_, static_cast<std::int64_t>(prompt_.size()));
  }
  return std::make_unique<GivenProblem>(std::move(lm), prompt_, std::move(potential), std::move(start));
}

}  // namespace twistor::smc
