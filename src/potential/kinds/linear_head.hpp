// SPDX-License-Identifier: Apache-2.0
// phi(s) = p(class | s)^beta, or a threshold on it, by a small linear head over a sentence encoder.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "class_score.hpp"
#include "twistor/model/linear_head.hpp"
#include "twistor/model/sentence_encoder.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class LinearHeadScorer final : public TextScorer {
 public:
  /// Throws Error(config) if the head was made for another encoder.
  LinearHeadScorer(model::SentenceEncoder encoder, model::LinearHead head, const PotentialOptions& options);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] double log_phi_bound() const override { return score_.log_phi_bound(); }
  [[nodiscard]] std::string description() const override;
  /// The encoder's; the head is a plain file among the options.
  [[nodiscard]] std::string fingerprint() const override { return encoder_->fingerprint(); }
  [[nodiscard]] std::unique_ptr<TextScorer> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return score_.observation(); }
  [[nodiscard]] std::int64_t n_classes() const override { return score_.n_classes(); }

 private:
  std::shared_ptr<const model::SentenceEncoder> encoder_;  // shared by the scorers of all classes
  model::LinearHead head_;
  ClassScore score_;
};

/// Reads `encoder` (a folder, loaded by context.load_options()), `head` (a file that train_head made) and
/// what ClassScore reads.
[[nodiscard]] std::unique_ptr<TextScorer> make_linear_head(const PotentialOptions& options,
                                                           const TargetContext& context);

}  // namespace twistor::potential
