// SPDX-License-Identifier: Apache-2.0
// phi(text) = exp(beta r), r the score of a reward model.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/reward_model.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/chat_template.hpp"

namespace twistor::potential {

class RewardScorer final : public TextScorer {
 public:
  /// Reads `class_name` (an output by label or number from 0; may be empty where there is one), `cap`, `beta`
  /// and `messages`, which with the text as answer become by `chat` what the model reads. Throws
  /// Error(config), listing the labels where none fits.
  RewardScorer(model::RewardModel model, const PotentialOptions& options,
               std::optional<text::ChatTemplate> chat = {});

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] bool reads_pairs() const override { return model_.reads_pairs(); }
  [[nodiscard]] std::vector<double> log_phi_of_answers(const std::string& prompt,
                                                       std::span<const std::string> answers) const override;
  /// beta times the cap: rewards have no bound of their own.
  [[nodiscard]] double log_phi_bound() const override { return beta_ * cap_; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override {
    return model_.fingerprint() + (chat_ ? ":" + chat_->source() : "");
  }

 private:
  /// (n) of logits (n, C).
  [[nodiscard]] std::vector<double> scores(const std::vector<float>& logits) const;

  model::RewardModel model_;
  std::optional<text::ChatTemplate> chat_;
  std::string messages_;
  double beta_, cap_;
  std::size_t index_ = 0;
};

/// Reads `classifier` (the folder), `class`, `cap`, `dtype`, `messages`, `beta` and, for scope = pair,
/// `question`.
[[nodiscard]] std::unique_ptr<TextScorer> make_reward(const PotentialOptions& options,
                                                      const TargetContext& context);

}  // namespace twistor::potential
