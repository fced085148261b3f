// SPDX-License-Identifier: Apache-2.0
// Evaluations of one sampler, or of several, on the targets of many prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/counters.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/estimate/deal.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/exact/options.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::estimate {

/// One of the prompts.
struct PromptTask {
  std::span<const std::int64_t> prompt;  ///< (L)
  std::int64_t length = 1;               ///< T
  std::uint64_t key = 0;                 ///< its random numbers are those of (seed, key)
  std::string id{};                      ///< for people; empty: it has none
  std::optional<std::string> text{};     ///< likewise; none where it was given as tokens and cannot be read
};

/// What is measured on each of them.
struct PromptSampler {
  std::string name;  ///< in files
  std::shared_ptr<const model::LanguageModel> lm;
  const twist::Twist& twist;
  std::int64_t update = 0;                ///< that the twist has seen
  std::optional<smc::Trigger> trigger{};  ///< of its sweeps, if not that of all
};

struct PromptsOptions {
  /// Of each evaluation, whose seed, length and exact samples are the prompt's own. `known` and `enumerate`
  /// follow from the others: a target is enumerated where all of them together have at most so many
  /// sequences.
  EvaluationOptions each;
  Options config{};
  exact::Options exact{};
  std::string target_identity{};
  smc::ProposalOptions proposal{};
  std::function<void(const Pieces&)> save{};
};

/// What is found about one prompt: the same bits on any number of ranks, but for Evaluation::seconds.
struct PromptFindings {
  std::vector<Evaluation> evaluations;  ///< by sampler, with one log Z
  std::int64_t n_exact = 0;             ///< exact samples
  std::int64_t n_draws = 0;             ///< of the base model, which these took
  std::int64_t n_sequences = 0;         ///< that all samplers together drew or scored
};

/// Evaluates the samplers on every prompt; goes on from `found`. Groups take prompts (deal_out()), and the
/// ranks of a group work on one together. Nothing if it was interrupted. `counters` are this rank's.
/// *Collective over world*, of which groups are parts.
[[nodiscard]] std::optional<std::vector<PromptFindings>> evaluate_prompts(
    std::span<const PromptTask> tasks, std::span<const PromptSampler> samplers,
    const potential::Potential& potential, const PromptsOptions& options, const comm::Communicator& world,
    const comm::Groups& groups, Pieces& found, Counters& counters);

}  // namespace twistor::estimate
