// SPDX-License-Identifier: Apache-2.0
// Ancestral samples of the base language model, and joint draws of a sequence and what follows it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/streams.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::exact {

/// n sequences of T tokens.
struct BaseSamples {
  std::vector<std::int64_t> tokens;  // (n * T)
  std::vector<double> log_p0;        // (n)
};

/// n pairs (s, o), s ~ p0 and o ~ p0(. | s): s is one exact sample of the target with phi(s) = p0(o | s) for
/// that o (the observation of Grosse et al. 2016, bidirectional Monte Carlo).
struct JointDraws {
  BaseSamples sequences;     ///< s, (n * T)
  BaseSamples observations;  ///< o, (n * c), with log p0(o | prompt, s)
};

/// Draws that are keyed by a global sample index: sample i is the same whoever draws it, in any batch.
/// *Local.*
class BaseSampler {
 public:
  /// The model must outlive this. Throws Error(usage) on an empty or too long prompt.
  BaseSampler(const model::LanguageModel& lm, std::span<const std::int64_t> prompt);

  /// Sequences of T >= 1 tokens; token t of sample i uses the random number of (seed, stream, step t, id i).
  /// Throws Error(usage) when the context would overflow.
  [[nodiscard]] BaseSamples sample(std::int64_t T, std::span<const std::int64_t> indices, std::uint64_t seed,
                                   Stream stream = Stream::exact_tokens) const;

  /// s of T tokens, the same as sample() gives, and o of c tokens with Stream::observation.
  [[nodiscard]] JointDraws joint(std::int64_t T, std::int64_t c, std::span<const std::int64_t> indices,
                                 std::uint64_t seed) const;

 private:
  struct Walk;
  [[nodiscard]] BaseSamples draw(Walk& walk, std::int64_t n_tokens, std::span<const std::int64_t> indices,
                                 std::uint64_t seed, Stream stream) const;
  [[nodiscard]] Walk start(std::size_t n) const;

  const model::LanguageModel& lm_;
  model::Prefill prompt_;
};

/// BaseSampler(lm, prompt).sample(T, indices, seed, stream).
[[nodiscard]] BaseSamples sample_base(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                                      std::int64_t T, std::span<const std::int64_t> indices,
                                      std::uint64_t seed, Stream stream = Stream::exact_tokens);

/// One joint draw: BaseSampler(lm, prompt).joint(T, c, {index}, seed).
[[nodiscard]] JointDraws joint_draw(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                                    std::int64_t T, std::int64_t c, std::int64_t index, std::uint64_t seed);

}  // namespace twistor::exact
