// SPDX-License-Identifier: Apache-2.0
// The target of a run: as the configuration gives it, or by an observation that is drawn with an exact
// sample.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/exact/joint_sampler.hpp"
#include "twistor/model/condition.hpp"
#include "twistor/potential/options.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::exact {

struct RunTarget {
  std::unique_ptr<potential::Potential> potential;
  /// What it is, with a digest of all that defines it: different for different targets. Where a twist sees
  /// observations, that of all of them.
  std::string identity;
  std::vector<std::int64_t> observation;  ///< tokens of o where they were drawn for the potential; else empty
  std::vector<std::int64_t> joint_sample;  ///< the s that an observation was drawn with; else empty
  std::unique_ptr<JointSampler> pairs;     ///< draws observations for a twist; nullptr where one is named
};

struct RunTargetOptions {
  model::Condition condition = model::Condition::none;  ///< what the twist sees
  std::int64_t length = 1;                              ///< T
  std::int64_t observation_length = 1;                  ///< c
  std::uint64_t seed = 0;
};

/// `continuation` without a text draws s ~ p0 and o ~ p0(. | s), pair 0 of the seed; so does a class that is
/// open where the twist sees classes. References must outlive the target. *Local.* Throws what
/// make_potential() and JointSampler throw.
[[nodiscard]] RunTarget make_run_target(const model::LanguageModel& lm, std::span<const std::int64_t> prompt,
                                        potential::PotentialOptions options,
                                        const potential::TargetContext& context, const RunTargetOptions& how);

}  // namespace twistor::exact
