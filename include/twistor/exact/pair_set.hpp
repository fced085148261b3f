// SPDX-License-Identifier: Apache-2.0
// The pairs of an exact sample and its observation by which conditional twists are evaluated.
#pragma once

#include "twistor/comm/communicator.hpp"
#include "twistor/exact/joint_sampler.hpp"
#include "twistor/exact/sample_set.hpp"
#include "twistor/store/exact_samples.hpp"

namespace twistor::exact {

/// The first options.count pairs of the seed that the file's were drawn with, where it has pairs of this
/// target and is shared; else of the run's own seed. They are cheap, so they are drawn anew in any case, and
/// the file is written where it has none or fewer. The same on every rank. target.potential is of any o, its
/// identity of all. *Collective over world.* Throws Error(config) if a shared file has something else, or if
/// options.way is another.
[[nodiscard]] store::ExactSamples find_pairs(const Target& target, const JointSampler& sampler,
                                             const SetOptions& options, const comm::Communicator& world);

}  // namespace twistor::exact
