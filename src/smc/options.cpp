// SPDX-License-Identifier: Apache-2.0
// The keys smc.*.
#include "twistor/smc/options.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"
#include "twistor/device/packed_matrix.hpp"

namespace twistor::smc {

void ProposalOptions::visit_keys(const config::Visitor& visit) {
  visit({.name = "proposal", .meaning = "what draws the tokens"}, config::Choice(kind));
  visit({.name = "proposal_beta",
         .meaning = "proposal = tempered: factor on log psi",
         .range = config::non_negative},
        &beta);
}

void PolicyOptions::visit_keys(const config::Visitor& visit) {
  using config::choice, config::input, config::key;
  visit(input("path", "another language model to draw from: a folder or a .gguf file, empty: none"), &path);
  std::vector<std::string_view> precisions = choices_of<device::Precision>();
  precisions.insert(precisions.begin(), "model");
  visit(choice("dtype", "arithmetic of its matrix products", std::move(precisions)), &dtype);
  visit(input("adapter", "folder of a PEFT adapter on it, or on the base model without a path"), &adapter);
  visit(key("temperature", "its logits are divided by it", config::positive), &truncation.temperature);
  visit(key("top_k", "only so many tokens with the largest logits are drawn, 0: all", {0, 16777216}),
        &truncation.top_k);
  visit(key("top_p", "only the likeliest tokens that hold this probability are drawn", {0, 1, false, true}),
        &truncation.top_p);
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
  visit({.name = "prefix_weight",
         .meaning = "exponent of phi(prefix) in the weights between steps, 0: without",
         .range = config::non_negative},
        &prefix_weight);
  visit({.name = "islands",
         .meaning = "parts of the population that resample by themselves, 0: none",
         .range = {0, most_particles}},
        &islands);
}

void validate(const ProposalOptions& proposal, const SweepOptions& sweep, const Policies& policies,
              const std::string& doing) {
  if (proposal.kind != ProposalKind::policy) return;
  TWISTOR_CHECK(std::ranges::any_of(policies, [](const auto& policy) { return policy.second.is_given(); }),
                ErrorKind::config, doing, "smc.proposal = policy, and no policy is given",
                "name a model of the same vocabulary by policy.path, or a PEFT adapter by policy.adapter");
  TWISTOR_CHECK(
      sweep.trigger != Trigger::ess, ErrorKind::config, doing,
      "smc.trigger is ess, and without a twist resampling would bring particles of a policy back to p0",
      "set smc.trigger = never");
}

}  // namespace twistor::smc
