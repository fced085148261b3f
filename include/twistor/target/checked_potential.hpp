// A potential that holds another to the contract: every kind made by the registry is wrapped in it.
#pragma once

#include <memory>
#include <string>

#include "twistor/target/potential.hpp"

namespace twistor::target {

/// Checks what goes in (whole sequences, tokens in the vocabulary) and what comes out: one value a sequence,
/// no NaN, no +inf, none above the stated bound. Throws Error(usage) for the former, Error(data) naming the
/// potential for the latter.
class CheckedPotential final : public Potential {
 public:
  /// vocab_size 0: token ranges are not checked.
  CheckedPotential(std::string name, std::unique_ptr<Potential> inner, std::int64_t vocab_size);

  [[nodiscard]] std::vector<double> log_phi(const Sequences& sequences) const override;
  [[nodiscard]] double log_phi_bound() const override { return inner_->log_phi_bound(); }
  [[nodiscard]] std::string description() const override { return inner_->description(); }

 private:
  std::string name_;
  std::unique_ptr<Potential> inner_;
  std::int64_t vocab_size_;
};

}  // namespace twistor::target
