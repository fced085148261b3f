// SPDX-License-Identifier: Apache-2.0
// Pairs of a sequence and an observation, s ~ p0 and o ~ p(. | s), where phi(s, o) = p(o | s).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "twistor/exact/base_sampler.hpp"
#include "twistor/model/condition.hpp"
#include "twistor/potential/potential.hpp"

namespace twistor::exact {

/// In every pair s is one exact sample of sigma(s | o), proportional to p0(s) p(o | s), for that o (the
/// observation of Grosse et al. 2016, bidirectional Monte Carlo). Of powers of p(o | s) it is none.
class JointSampler {
 public:
  /// Observations are what `condition` says: c tokens that follow s, or a class. `potential` must look at
  /// such. References must outlive it. Throws Error(config) if it does not.
  JointSampler(const model::LanguageModel& lm, std::span<const std::int64_t> prompt, std::int64_t T,
               const potential::Potential& potential, model::Condition condition, std::int64_t c = 1);

  /// Pairs by index: pair i is the same whoever draws it, in any batch. *Local.*
  [[nodiscard]] JointDraws draw(std::span<const std::int64_t> indices, std::uint64_t seed) const;

 private:
  /// One class a sequence.
  [[nodiscard]] BaseSamples classes(const BaseSamples& sequences, std::span<const std::int64_t> indices,
                                    std::uint64_t seed) const;

  BaseSampler sampler_;
  std::vector<std::int64_t> prompt_;
  std::int64_t T_, c_;
  std::vector<std::unique_ptr<potential::Potential>> class_potentials_;  // by class; of tokens: none
};

}  // namespace twistor::exact
