// SPDX-License-Identifier: Apache-2.0
// phi = the product of other potentials, each to a power.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class ProductPotential final : public Potential {
 public:
  struct Part {
    std::string name;
    double weight = 1;  ///< above 0
    std::unique_ptr<Potential> potential;
  };
  /// Throws Error(config) on no parts and on weights that are not positive.
  explicit ProductPotential(std::vector<Part> parts);

  /// sum of weight * log phi.
  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  /// The same sum of bounds: +inf if one is unknown.
  [[nodiscard]] double log_phi_bound() const override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override;

 private:
  std::vector<Part> parts_;
};

/// Reads `factors`. Throws what making each of them throws, with the name of its section.
[[nodiscard]] std::unique_ptr<Potential> make_product(const PotentialOptions& options,
                                                      const TargetContext& context);

}  // namespace twistor::potential
