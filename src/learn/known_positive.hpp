// SPDX-License-Identifier: Apache-2.0
// Whether train.positive_ids is what it says.
#pragma once

#include "twistor/learn/options.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::learn {

/// Throws Error(config) unless options.known_positive are T tokens with p0 > 0 and phi > 0. *Local.*
void check_positive(const smc::Problem& problem, const TrainOptions& options);

}  // namespace twistor::learn
