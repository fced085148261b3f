// SPDX-License-Identifier: Apache-2.0
// The continuation potential: one teacher-forced pass over s and o after the shared prompt.
#include "continuation.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_continuation = "making the potential 'continuation'";

}  // namespace

ContinuationPotential::ContinuationPotential(const model::LanguageModel& lm,
                                             std::vector<std::int64_t> observation, double beta,
                                             std::int64_t n_together)
    : lm_(lm), observation_(std::move(observation)), beta_(beta), n_together_(n_together) {
  TWISTOR_CHECK(!observation_.empty(), ErrorKind::config, making_continuation, "the text to follow is empty",
                "set target.text or target.ids");
  for (const std::int64_t token : observation_)
    TWISTOR_CHECK(token >= 0 && token < lm.vocab_size(), ErrorKind::config, making_continuation,
                  fmt::format("token {} is out of range (expected 0 to {})", token, lm.vocab_size() - 1));
  TWISTOR_CHECK(beta > 0, ErrorKind::config, making_continuation,
                fmt::format("target.beta is {} (expected a positive number)", beta));
  TWISTOR_ASSERT(n_together >= 1, "at least one sequence at a time");
}

std::vector<double> ContinuationPotential::log_phi(const Sequences& sequences) const {
  std::vector<std::int64_t> observations;
  for (std::int64_t i = 0; i < sequences.size(); ++i)
    observations.insert(observations.end(), observation_.begin(), observation_.end());
  return log_phi_given(sequences, observations);
}

std::vector<double> ContinuationPotential::log_phi_given(const Sequences& sequences,
                                                         std::span<const std::int64_t> observations) const {
  const model::Prefill prompt = model::prefill(lm_, sequences.prompt);
  const std::int64_t n = sequences.size();
  const auto T = static_cast<std::size_t>(sequences.length);
  const std::size_t c = n > 0 ? observations.size() / static_cast<std::size_t>(n) : 0;
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(n));
  for (std::int64_t begin = 0; begin < n; begin += n_together_) {
    const auto rows = static_cast<std::size_t>(std::min(n_together_, n - begin));
    std::vector<std::int64_t> inputs;  // (rows, T + c - 1): s, and o but for its last token
    const auto wanted = observations.subspan(static_cast<std::size_t>(begin) * c, rows * c);  // (rows, c)
    for (std::size_t i = 0; i < rows; ++i) {
      const auto s = sequences.tokens.subspan((static_cast<std::size_t>(begin) + i) * T, T);
      const auto o = wanted.subspan(i * c, c - 1);
      inputs.insert(inputs.end(), s.begin(), s.end());
      inputs.insert(inputs.end(), o.begin(), o.end());
    }
    const auto cache = prompt.fork(static_cast<std::int64_t>(rows));
    const at::Tensor hidden = lm_.forward(inputs, *cache)
                                  .narrow(1, sequences.length - 1, static_cast<std::int64_t>(c))
                                  .reshape({-1, lm_.hidden_size()});
    const auto log_p = model::log_prob_of_tokens(lm_, hidden, wanted);
    for (std::size_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < c; ++j) sum += log_p[i * c + j];
      result.push_back(beta_ * sum);
    }
  }
  return result;
}

std::unique_ptr<Potential> ContinuationPotential::given(std::span<const std::int64_t> observation) const {
  if (beta_ != 1) return nullptr;  // a power of a probability is none
  return std::make_unique<ContinuationPotential>(
      lm_, std::vector<std::int64_t>(observation.begin(), observation.end()), beta_, n_together_);
}

std::string ContinuationPotential::description() const {
  return fmt::format("continuation: p0(o | s)^{} for a fixed o of {} tokens", beta_, observation_.size());
}

std::unique_ptr<Potential> make_continuation(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(context.lm != nullptr, ErrorKind::config, making_continuation, "it needs a language model",
                "set model.path");
  TWISTOR_CHECK(options.ids.empty() || options.text.empty(), ErrorKind::config, making_continuation,
                "target.text and target.ids are both given (expected one)");
  auto observation = options.ids;
  if (observation.empty() && !options.text.empty()) {
    TWISTOR_CHECK(context.tokenizer != nullptr, ErrorKind::config, making_continuation,
                  "target.text needs a tokenizer, and the model has none", "give target.ids instead");
    observation = context.tokenizer->encode(options.text);
  }
  return std::make_unique<ContinuationPotential>(*context.lm, std::move(observation), options.beta);
}

}  // namespace twistor::potential
