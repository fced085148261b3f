// SPDX-License-Identifier: Apache-2.0
// The exact normalising constant of "the next T tokens contain these words", by going through all sequences.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "make_tiny/gpt.hpp"
#include "make_tiny/grammar.hpp"

namespace twistor::tiny {

/// A sequence in which the words occur; it is cut where they are complete, since whatever follows counts as
/// well.
struct Hit {
  std::vector<std::int64_t> tokens;
  double log_p = 0;  // log p0(tokens | prompt)
};

/// How the posterior given the event differs from the base model at one step.
struct StepOfTarget {
  double kl = 0;                  // E_sigma[log psi*_t - log psi*_{t-1}]; the sum over t is -log Z
  std::vector<double> p0, sigma;  // (V) each: marginals of token t under the base model and given the event
};

struct ExactTarget {
  double log_z = 0;                 // log p0(event)
  std::vector<Hit> hits;            // most likely first
  std::vector<StepOfTarget> steps;  // (T)
};

/// Sums over all V^T sequences, prefix by prefix; float64 sums whatever the model's type.
/// Throws Error(usage) if the prompt is empty, the sequences do not fit into the context or are too many.
[[nodiscard]] ExactTarget enumerate_target(const Gpt& model, std::span<const std::int64_t> prompt,
                                           std::span<const std::int64_t> event, std::int64_t length);

/// log p(event) under the grammar itself.
[[nodiscard]] double grammar_log_z(const Grammar& grammar, std::span<const std::int64_t> prompt,
                                   std::span<const std::int64_t> event, std::int64_t length);

/// log Z if phi is exp(log_floor) instead of zero outside the event.
[[nodiscard]] double log_z_with_floor(double log_z, double log_floor);

}  // namespace twistor::tiny
