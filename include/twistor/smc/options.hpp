// SPDX-License-Identifier: Apache-2.0
// What a sweep and its proposal can be told.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "twistor/base/interrupt.hpp"
#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"
#include "twistor/smc/scheme.hpp"

namespace twistor::smc {

enum class Trigger { every_step, ess, never };
constexpr auto names_of(Trigger) {
  return std::array{Named{Trigger::every_step, "every_step"}, Named{Trigger::ess, "ess"},
                    Named{Trigger::never, "never"}};
}

enum class Order {
  resample_first,  ///< weigh, resample, then draw; for the twist-induced proposal, whose weights are known
                   ///< before the draw
  draw_first,      ///< the order of Zhao et al. 2024, Alg. 1
};
constexpr auto names_of(Order) {
  return std::array{Named{Order::resample_first, "resample_first"}, Named{Order::draw_first, "draw_first"}};
}

enum class ProposalKind {
  base,      ///< q = p0
  twisted,   ///< q(v) = p0(v) psi_t(v) / Zq_t, the twist-induced proposal
  tempered,  ///< q(v) proportional to p0(v) psi_t(v)^beta
  policy,    ///< another language model of the same vocabulary
};
constexpr auto names_of(ProposalKind) {
  return std::array{Named{ProposalKind::base, "base"}, Named{ProposalKind::twisted, "twisted"},
                    Named{ProposalKind::tempered, "tempered"}, Named{ProposalKind::policy, "policy"}};
}

/// How tokens are drawn from a policy's logits: divided by the temperature, then only the top_k largest, then
/// of those the fewest largest that hold top_p of what is left, renormalised. Equal logits stay or go
/// together.
struct Truncation {
  double temperature = 1;
  std::int64_t top_k = 0;  ///< 0: all
  double top_p = 1;
  /// Whether some tokens may have no probability.
  [[nodiscard]] bool cuts() const { return top_k > 0 || top_p < 1; }
};

/// A policy: where it is read from, and how it is sampled.
struct PolicyOptions {
  std::string path;             ///< as model.path; empty: the base model's, if there is an adapter
  std::string dtype = "model";  ///< a device::Precision, or "model": the base model's
  std::string adapter;          ///< folder of a PEFT adapter on top of it; empty: none
  Truncation truncation;
  [[nodiscard]] bool is_given() const { return !path.empty() || !adapter.empty(); }
  void visit_keys(const config::Visitor& visit);
};

struct ProposalOptions {
  ProposalKind kind = ProposalKind::twisted;
  double beta = 1;  ///< for tempered
  void visit_keys(const config::Visitor& visit);
};

/// Policies by section: [policy], and any number of [policy.NAME].
using Policies = std::map<std::string, PolicyOptions>;

struct SweepOptions {
  std::int64_t particles = 64;  ///< K, all ranks of the group together
  std::int64_t length = 1;      ///< T
  SchemeKind scheme = SchemeKind::stratified;
  Trigger trigger = Trigger::every_step;
  double ess_threshold = 0.5;  ///< resample when ESS < threshold * K
  Order order = Order::resample_first;
  /// Above 0: what decides about resampling takes in Potential::log_phi_of_prefix(), times this.
  double prefix_weight = 0;
  /// Above 1: the population is cut into so many islands, at most K. They resample each by themselves, and
  /// all together where the islands' own ESS is below ess_threshold. Not where n_shards is given.
  std::int64_t islands = 0;
  std::uint64_t seed = 1;
  std::int64_t n_shards =
      0;  ///< > 0: ranks own whole shards of the population, as gradients need them (Layout::sharded)
  bool keep_hidden = false;     ///< keep the hidden state before each token, (k, T, D); needs Trigger::never
  bool keep_ancestors = false;  ///< of every resampling, for Sweep::resamplings
  /// Asked before every token but the first: whether this rank would stop. The ranks agree by one reduction
  /// more for each step, which learning does without; so all of them give one, or none does.
  Interrupt wish{};

  /// How many islands there are; 0: the population is one.
  [[nodiscard]] std::int64_t n_islands() const {
    const std::int64_t n = islands < particles ? islands : particles;
    return n > 1 && n_shards == 0 && trigger != Trigger::never ? n : 0;
  }
  /// Particles, scheme, trigger, threshold, order and islands; the rest belongs to a run, not to the sampler.
  void visit_keys(const config::Visitor& visit);
};

/// What no key can know alone. Throws Error(config) that begins with `doing`.
void validate(const ProposalOptions& proposal, const SweepOptions& sweep, const Policies& policies,
              const std::string& doing);

}  // namespace twistor::smc
