// SPDX-License-Identifier: Apache-2.0
// phi(s) = p0(s)^(alpha - 1), so that sigma is the model's own distribution over whole texts, sharpened or
// flattened.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "twistor/model/language_model.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// log phi = (alpha - 1) log p0(s | prompt); where p0 = 0, phi is 0 too, as sigma is p0^alpha. A temperature
/// 1 / alpha of whole texts, which no temperature of single tokens gives.
class PowerPotential final : public Potential {
 public:
  /// The model must outlive this. Throws Error(config) unless alpha > 0.
  PowerPotential(const model::LanguageModel& lm, double alpha, std::int64_t n_together = 64);

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  /// 0 for alpha >= 1; below, phi grows without bound as texts become rare.
  [[nodiscard]] double log_phi_bound() const override;
  [[nodiscard]] std::string description() const override;

 private:
  const model::LanguageModel& lm_;
  double alpha_;
  std::int64_t n_together_;
};

/// Reads `alpha`.
[[nodiscard]] std::unique_ptr<Potential> make_power(const PotentialOptions& options,
                                                    const TargetContext& context);

}  // namespace twistor::potential
