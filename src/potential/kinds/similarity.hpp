// SPDX-License-Identifier: Apache-2.0
// phi(s) = exp(beta cos(e(s), e(text))): how close s is to a text in meaning, by a sentence encoder e.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/sentence_encoder.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class SimilarityScorer final : public TextScorer {
 public:
  /// Throws Error(config) if the text is empty.
  SimilarityScorer(model::SentenceEncoder encoder, std::string text, double beta);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  /// |beta|: no cosine is beyond 1 or -1.
  [[nodiscard]] double log_phi_bound() const override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override { return encoder_.fingerprint(); }

 private:
  model::SentenceEncoder encoder_;
  std::string text_;
  double beta_;
  std::vector<float> direction_;  // (D)
};

/// cos(a, b) in float64, within [-1, 1]; 0 if either is the zero vector. a, b: (D).
[[nodiscard]] double cosine(std::span<const float> a, std::span<const float> b);

/// Reads `encoder` (a folder, loaded by context.load_options()), `text` and `beta`.
[[nodiscard]] std::unique_ptr<TextScorer> make_similarity(const PotentialOptions& options,
                                                          const TargetContext& context);

}  // namespace twistor::potential
