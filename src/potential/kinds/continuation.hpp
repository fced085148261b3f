// SPDX-License-Identifier: Apache-2.0
// phi(s) = p0(o | prompt, s)^beta: how likely a fixed text o is to follow.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class ContinuationPotential final : public Potential {
 public:
  /// At most n_together sequences are in memory at a time; the values do not depend on it. The model must
  /// outlive this. Throws Error(config) if o is empty or out of the vocabulary, or beta <= 0.
  ContinuationPotential(const model::LanguageModel& lm, std::vector<std::int64_t> observation, double beta,
                        std::int64_t n_together = 256);

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  /// 0: no probability exceeds 1.
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::unique_ptr<Potential> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<double> log_phi_given(const Sequences& sequences,
                                                  std::span<const std::int64_t> observations) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return observation_; }

 private:
  const model::LanguageModel& lm_;
  std::vector<std::int64_t> observation_;  // o, (c)
  double beta_;
  std::int64_t n_together_;
};

/// Reads `ids` or else `text`, and `beta`. Needs the language model; the tokenizer for `text`.
[[nodiscard]] std::unique_ptr<Potential> make_continuation(const PotentialOptions& options,
                                                           const TargetContext& context);

}  // namespace twistor::potential
