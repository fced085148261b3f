// SPDX-License-Identifier: Apache-2.0
// The keys smc.*.
#include "twistor/smc/options.hpp"

#include "twistor/config/make_key.hpp"

namespace twistor::smc {

void ProposalOptions::visit_keys(const config::Visitor& visit) {
  visit({.name = "proposal", .meaning = "what draws the tokens"}, config::Choice(kind));
  visit({.name = "proposal_beta",
         .meaning = "proposal = tempered: factor on log psi",
         .range = config::non_negative},
        &beta);
}

void SweepOptions::visit_keys(const config::Visitor& visit) {
  constexpr double most_particles = 2147483646.0;  // the resampling schemes count in 31 bits
  visit({.name = "particles", .meaning = "K, particles in one population", .range = {1, most_particles}},
        &particles);
  visit({.name = "resampling", .meaning = "resampling scheme"}, config::Choice(scheme));
  visit({.name = "trigger", .meaning = "when to resample"}, config::Choice(trigger));
  visit({.name = "ess_threshold",
         .meaning = "trigger = ess: resample below this share of K",
         .range = {0, 1, false, true}},
        &ess_threshold);
  visit({.name = "order", .meaning = "twisted proposal: order within a step"}, config::Choice(order));
}

}  // namespace twistor::smc
