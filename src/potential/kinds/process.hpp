// SPDX-License-Identifier: Apache-2.0
// phi(text) = exp(beta * a number that a command of the user's gives the text): a reward model in Python,
// say.
#pragma once

#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/line_process.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

/// The command reads lines {"text": "..."} and writes a number for each, in their order. It is started at the
/// first batch, gets whole batches, and ends with this object. That a number depends on its text alone is for
/// the command to keep; results are the same on any number of ranks only if it does.
class ProcessScorer final : public TextScorer {
 public:
  struct Options {
    std::string command;                                   ///< for /bin/sh -c
    double timeout_s = 60;                                 ///< without a sign of life, above 0
    double beta = 1;                                       ///< above 0
    double cap = std::numeric_limits<double>::infinity();  ///< numbers count up to here
  };

  /// Starts nothing. Throws Error(config) on unfit options.
  explicit ProcessScorer(Options options);

  /// Throws Error(data) naming the text whose answer is no number, NaN or inf, and what LineProcess throws.
  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] double log_phi_bound() const override { return options_.beta * options_.cap; }
  [[nodiscard]] std::string description() const override;

 private:
  Options options_;
  mutable std::mutex mutex_;
  mutable LineProcess process_;
};

/// Reads `command`, `timeout_s`, `cap` and `beta`.
[[nodiscard]] std::unique_ptr<TextScorer> make_process(const PotentialOptions& options,
                                                       const TargetContext& context);

}  // namespace twistor::potential
