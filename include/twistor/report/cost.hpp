// SPDX-License-Identifier: Apache-2.0
// What a run will cost, in words: tokens through the model, and seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace twistor::report {

/// One part of a run's work, all ranks together. Prefixes that particles share are counted as often as they
/// have particles, so this is an upper estimate.
struct Work {
  std::string what;            ///< "learning (200 updates)"
  std::int64_t sequences = 0;  ///< drawn or scored, each with one value of phi
  std::int64_t tokens = 0;     ///< through the language model
  bool is_limit = false;       ///< stops early, as soon as there is enough
};

/// `n` sequences of `length` tokens.
[[nodiscard]] Work work_of(std::string what, std::int64_t n, std::int64_t length);

/// At most so many draws until there are enough exact samples.
[[nodiscard]] Work work_of_rejection(std::int64_t budget, std::int64_t length);

/// `n` evaluations of so many sequences each.
[[nodiscard]] Work work_of_evaluations(std::int64_t n, std::int64_t sequences_each, std::int64_t length);

/// The same for each of n prompts.
void repeat_for_prompts(std::vector<Work>& work, std::int64_t n_prompts);

/// "estimated work: learning (200 updates) 153,600 tokens, 2 min; ..."; `phi_s` seconds for phi of a
/// sequence, if it was timed. *Local.*
[[nodiscard]] std::string cost_text(const std::vector<Work>& work, double tokens_per_s,
                                    std::optional<double> phi_s);

}  // namespace twistor::report
