// SPDX-License-Identifier: Apache-2.0
// Ancestral sampling: one forward a token, the prompt shared.
#include "twistor/exact/base_sampler.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/model/log_prob.hpp"

namespace twistor::exact {
namespace {

void join(BaseSamples& all, const BaseSamples& part) {
  all.tokens.insert(all.tokens.end(), part.tokens.begin(), part.tokens.end());
  all.log_p0.insert(all.log_p0.end(), part.log_p0.begin(), part.log_p0.end());
}

/// Calls use(part) for consecutive parts of the indices, none larger than what one forward should hold.
template <class Use>
void in_chunks(std::span<const std::int64_t> indices, const Use& use) {
  constexpr auto n_together = static_cast<std::size_t>(model::row_chunk);
  for (std::size_t begin = 0; begin < indices.size(); begin += n_together)
    use(indices.subspan(begin, std::min(n_together, indices.size() - begin)));
}

void check_length(const char* what, std::int64_t length) {
  TWISTOR_CHECK(length >= 1, ErrorKind::usage, "sampling the language model",
                fmt::format("{} is {} (expected at least 1)", what, length));
}

}  // namespace

/// Sequences under way. The last token drawn waits until another is wanted, so no forward is in vain.
struct BaseSampler::Walk {
  std::unique_ptr<model::Cache> cache;
  at::Tensor hidden;                  // (n, D), or (1, D) while all stand at the end of the prompt
  std::vector<std::int64_t> waiting;  // (n) tokens that the cache does not hold yet, or none
};

BaseSampler::BaseSampler(const model::LanguageModel& lm, std::span<const std::int64_t> prompt)
    : lm_(lm), prompt_(model::prefill(lm, prompt)) {}

BaseSampler::Walk BaseSampler::start(std::size_t n) const {
  return {prompt_.fork(static_cast<std::int64_t>(n)), prompt_.hidden, {}};
}

BaseSamples BaseSampler::draw(Walk& walk, std::int64_t n_tokens, std::span<const std::int64_t> indices,
                              std::uint64_t seed, Stream stream) const {
  const std::size_t n = indices.size();
  const auto width = static_cast<std::size_t>(n_tokens);
  BaseSamples result{std::vector<std::int64_t>(n * width), std::vector<double>(n, 0.0)};
  std::vector<double> u(n);
  for (std::size_t t = 0; t < width; ++t) {
    if (!walk.waiting.empty()) walk.hidden = lm_.forward(walk.waiting, *walk.cache).select(1, 0);
    for (std::size_t i = 0; i < n; ++i)
      u[i] = Philox(seed, stream, static_cast<std::uint32_t>(t), static_cast<std::uint64_t>(indices[i]))
                 .uniform();
    auto draws = model::draw_tokens(lm_, walk.hidden, u);
    for (std::size_t i = 0; i < n; ++i) {
      result.tokens[i * width + t] = draws.tokens[i];
      result.log_p0[i] += draws.log_p[i];
    }
    walk.waiting = std::move(draws.tokens);
  }
  return result;
}

BaseSamples BaseSampler::sample(std::int64_t T, std::span<const std::int64_t> indices, std::uint64_t seed,
                                Stream stream) const {
  check_length("the number of tokens", T);
  BaseSamples result;
  in_chunks(indices, [&](auto part) {
    Walk walk = start(part.size());
    join(result, draw(walk, T, part, seed, stream));
  });
  return result;
}

JointDraws BaseSampler::joint(std::int64_t T, std::int64_t c, std::span<const std::int64_t> indices,
                              std::uint64_t seed) const {
  check_length("the number of tokens", T);
  check_length("the number of observed tokens", c);
  JointDraws result;
  in_chunks(indices, [&](auto part) {
    Walk walk = start(part.size());
    join(result.sequences, draw(walk, T, part, seed, Stream::exact_tokens));
    join(result.observations, draw(walk, c, part, seed, Stream::observation));
  });
  return result;
}

BaseSamples sample_base(const model::LanguageModel& lm, std::span<const std::int64_t> prompt, std::int64_t T,
                        std::span<const std::int64_t> indices, std::uint64_t seed, Stream stream) {
  return BaseSampler(lm, prompt).sample(T, indices, seed, stream);
}

JointDraws joint_draw(const model::LanguageModel& lm, std::span<const std::int64_t> prompt, std::int64_t T,
                      std::int64_t c, std::int64_t index, std::uint64_t seed) {
  return BaseSampler(lm, prompt).joint(T, c, {&index, 1}, seed);
}

}  // namespace twistor::exact
