// SPDX-License-Identifier: Apache-2.0
// phi(s) = p(class | s)^beta, or a threshold on it, by a sequence classifier (BERT, RoBERTa, DistilBERT).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "class_score.hpp"
#include "twistor/model/sequence_classifier.hpp"
#include "twistor/potential/registry.hpp"

namespace twistor::potential {

class ClassifierScorer final : public TextScorer {
 public:
  ClassifierScorer(model::SequenceClassifier classifier, const PotentialOptions& options);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] bool reads_pairs() const override { return classifier_->reads_pairs(); }
  [[nodiscard]] std::vector<double> log_phi_of_answers(const std::string& prompt,
                                                       std::span<const std::string> answers) const override;
  [[nodiscard]] double log_phi_bound() const override { return score_.log_phi_bound(); }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override { return classifier_->fingerprint(); }
  [[nodiscard]] std::unique_ptr<TextScorer> given(std::span<const std::int64_t> observation) const override;
  [[nodiscard]] std::vector<std::int64_t> observation() const override { return score_.observation(); }
  [[nodiscard]] std::int64_t n_classes() const override { return score_.n_classes(); }

 private:
  std::shared_ptr<const model::SequenceClassifier> classifier_;  // shared by the scorers of all classes
  ClassScore score_;
};

/// Reads `classifier` (a folder, loaded by context.load_options()), what ClassScore reads and, for
/// scope = pair, `question`.
[[nodiscard]] std::unique_ptr<TextScorer> make_classifier(const PotentialOptions& options,
                                                          const TargetContext& context);

}  // namespace twistor::potential
