// SPDX-License-Identifier: Apache-2.0
// Many prompts that one twist learns on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "twistor/learn/positives.hpp"
#include "twistor/smc/prompted.hpp"

namespace twistor::learn {

struct LearningPrompt {
  std::span<const std::int64_t> prompt;  ///< (L)
  std::int64_t length = 1;               ///< T
};

/// References must outlive learning.
struct Prompts {
  std::shared_ptr<const model::LanguageModel> lm;  ///< made for a prompt of any length
  const potential::Potential& potential;
  std::vector<LearningPrompt> all;
  std::int64_t per_update = 1;  ///< the objective is made for one of them
};

/// Which of n prompts the updates learn on, one turn after another: in every n turns each of them once, in an
/// order that the seed and the round give. So it depends neither on ranks nor on where learning was
/// interrupted.
class PromptOrder {
 public:
  PromptOrder(std::uint64_t seed, std::size_t n) : seed_(seed), n_(n) {}
  /// Its place in the list. *Local.*
  [[nodiscard]] std::size_t of_turn(std::int64_t turn);

 private:
  std::uint64_t seed_;
  std::size_t n_;
  std::int64_t round_ = -1;
  std::vector<std::size_t> order_;  // of that round
};

/// What a prompt's part of an update is made of, with train.positives settled: `auto` is `weighted`. *Local.*
/// Throws Error(config) for positives that are those of one target, and as ObjectiveOptions::per_prompt().
[[nodiscard]] SettledPositives settle_positives_of_prompts(const ObjectiveOptions& options,
                                                           const TrainOptions& train);

}  // namespace twistor::learn
