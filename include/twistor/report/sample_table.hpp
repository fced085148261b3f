// SPDX-License-Identifier: Apache-2.0
// What was drawn, beside samples of the base model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "twistor/estimate/draws.hpp"
#include "twistor/report/sample_file.hpp"

namespace twistor::report {

/// What `sample` sums up. Keys are texts, or token ids where there is no tokenizer: equal keys count as one.
struct SampleSummary {
  const std::vector<double>& base_log_phi;  ///< of samples of the base model
  const estimate::Draws& draws;
  std::int64_t particles = 1;                    ///< K of the largest population
  std::int64_t n_moves = 0;                      ///< of all draws together
  std::vector<std::string> keys{}, base_keys{};  ///< of the rows; of the base model's samples
};

/// *Local.*
[[nodiscard]] std::string sample_table(const std::vector<SampleRow>& rows, const SampleSummary& summary);

/// Of draws for many prompts: how many, and what is worst. *Local.*
[[nodiscard]] std::string prompt_sample_table(const std::vector<SampleGroup>& groups,
                                              const std::vector<estimate::Draws>& draws,
                                              std::int64_t particles);
/// What to warn of. *Local.*
[[nodiscard]] std::vector<std::string> prompt_sample_warnings(const std::vector<SampleGroup>& groups,
                                                              const std::vector<estimate::Draws>& draws);

/// What to warn of: populations in vain, weights that are degenerate at the end of K particles. *Local.*
[[nodiscard]] std::vector<std::string> sample_warnings(const estimate::Draws& draws, std::int64_t particles);

}  // namespace twistor::report
