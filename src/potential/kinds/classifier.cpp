// SPDX-License-Identifier: Apache-2.0
// The classifier potential.
#include "classifier.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_classifier = "making the potential 'classifier'";

}  // namespace

ClassifierScorer::ClassifierScorer(model::SequenceClassifier classifier, const PotentialOptions& options)
    : classifier_(std::make_shared<const model::SequenceClassifier>(std::move(classifier))),
      score_(options, classifier_->labels(), classifier_->is_multi_label(), making_classifier) {}

std::vector<double> ClassifierScorer::log_phi(std::span<const std::string> texts) const {
  const std::vector<float> logits = classifier_->logits(texts);
  return score_.log_phi_of_rows(std::vector<double>(logits.begin(), logits.end()));
}

std::vector<double> ClassifierScorer::log_phi_of_answers(const std::string& prompt,
                                                         std::span<const std::string> answers) const {
  const std::vector<float> logits = classifier_->logits_of_answers(prompt, answers);
  return score_.log_phi_of_rows(std::vector<double>(logits.begin(), logits.end()));
}

std::unique_ptr<TextScorer> ClassifierScorer::given(std::span<const std::int64_t> observation) const {
  if (n_classes() == 0 || observation.size() != 1) return nullptr;
  auto out = std::make_unique<ClassifierScorer>(*this);
  out->score_ = score_.of_class(observation.front());
  return out;
}

std::string ClassifierScorer::description() const {
  return fmt::format("classifier: {} by {}", score_.description(), classifier_->encoder().description());
}

std::unique_ptr<TextScorer> make_classifier(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(!options.classifier.empty(), ErrorKind::config, making_classifier,
                "target.classifier is not set",
                "name the folder of a sequence classifier (config.json, model.safetensors, tokenizer.json)");
  return std::make_unique<ClassifierScorer>(
      model::SequenceClassifier(options.classifier, context.load_options(options)), options);
}

}  // namespace twistor::potential
