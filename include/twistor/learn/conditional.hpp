// SPDX-License-Identifier: Apache-2.0
// What a conditional twist psi_t(s, o) learns from.
#pragma once

#include <cstdint>

#include "twistor/exact/joint_sampler.hpp"
#include "twistor/smc/conditional.hpp"

namespace twistor::learn {

/// Each update draws `observations` pairs (s, o), s ~ p0 and o ~ p(. | s). For each o the objective has its
/// batches, in which s is the exact sample, and weights normalised among themselves; the update follows the
/// mean of their losses. References must outlive the trainer.
struct Conditional {
  const smc::ConditionalProblem& problems;
  const exact::JointSampler& pairs;
  std::int64_t observations = 1;
};

/// Throws Error(config) where no pairs are drawn (nullptr), because the configuration names an observation.
[[nodiscard]] Conditional conditional(const smc::ConditionalProblem& problems,
                                      const exact::JointSampler* pairs, std::int64_t observations);

}  // namespace twistor::learn
