// SPDX-License-Identifier: Apache-2.0
// phi from the bidirectional LSTM of the package toxic-comment-classifier.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "class_rule.hpp"
#include "twistor/model/bilstm.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/text/keras_words.hpp"

namespace twistor::potential {

class ToxicityBilstm final : public TextScorer {
 public:
  /// Words of a text that the classifier reads: its last 100.
  static constexpr std::int64_t n_words = 100;
  /// toxic, severe_toxic, obscene, threat, insult, identity_hate.
  [[nodiscard]] static std::span<const std::string> class_names();

  /// `fingerprint` is that of the files. Throws Error(config) on a class that there is not, Error(data) if
  /// the classifier has another number of classes, or fewer ids than there are words.
  ToxicityBilstm(model::BiLstmClassifier classifier, text::KerasWords words, const std::string& class_name,
                 const ClassRule& rule, std::string fingerprint);

  [[nodiscard]] std::vector<double> log_phi(std::span<const std::string> texts) const override;
  [[nodiscard]] double log_phi_bound() const override { return rule_.log_phi_bound(); }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] std::string fingerprint() const override { return fingerprint_; }

 private:
  model::BiLstmClassifier classifier_;
  text::KerasWords words_;
  std::size_t class_;
  ClassRule rule_;
  std::string fingerprint_;
};

/// Reads `classifier` (a folder with model.weights.h5 and words.json), `class` (toxic if not given) and what
/// ClassRule reads. Needs the context's reader of HDF5 files.
[[nodiscard]] std::unique_ptr<TextScorer> make_toxicity_bilstm(const PotentialOptions& options,
                                                               const TargetContext& context);

}  // namespace twistor::potential
