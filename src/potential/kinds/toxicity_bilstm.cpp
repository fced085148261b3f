// SPDX-License-Identifier: Apache-2.0
// The toxicity classifier as a potential.
#include "toxicity_bilstm.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_toxicity_bilstm = "making the potential 'toxicity_bilstm'";

std::size_t index_of_class(const std::string& name) {
  const auto names = ToxicityBilstm::class_names();
  const auto found = std::ranges::find(names, name);
  TWISTOR_CHECK(found != names.end(), ErrorKind::config, making_toxicity_bilstm,
                fmt::format("target.class is '{}' (expected one of {})", name, fmt::join(names, ", ")));
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace

std::span<const std::string> ToxicityBilstm::class_names() {
  static const std::vector<std::string> names = {"toxic",  "severe_toxic", "obscene",
                                                 "threat", "insult",       "identity_hate"};
  return names;
}

ToxicityBilstm::ToxicityBilstm(model::BiLstmClassifier classifier, text::KerasWords words,
                               const std::string& class_name, const ClassRule& rule, std::string fingerprint)
    : classifier_(std::move(classifier)),
      words_(std::move(words)),
      class_(index_of_class(class_name)),
      rule_(rule),
      fingerprint_(std::move(fingerprint)) {
  const auto n_classes = static_cast<std::int64_t>(class_names().size());
  TWISTOR_CHECK(
      classifier_.n_classes() == n_classes, ErrorKind::data, making_toxicity_bilstm,
      fmt::format("the classifier has {} classes (expected {})", classifier_.n_classes(), n_classes));
  TWISTOR_CHECK(words_.size() < classifier_.n_ids(), ErrorKind::data, making_toxicity_bilstm,
                fmt::format("there are {} words (expected fewer than the {} rows of the embedding)",
                            words_.size(), classifier_.n_ids()),
                "are model.weights.h5 and words.json of one model?");
}

std::vector<double> ToxicityBilstm::log_phi(std::span<const std::string> texts) const {
  std::vector<std::vector<std::int64_t>> ids;
  for (const std::string& text : texts) ids.push_back(words_.encode(text));
  const std::vector<double> logits = classifier_.logits(ids);
  std::vector<double> result;
  for (std::size_t i = 0; i < texts.size(); ++i)
    result.push_back(rule_.log_phi(ClassLogProb::from_logit(logits[i * class_names().size() + class_])));
  return result;
}

std::string ToxicityBilstm::description() const {
  return fmt::format("toxicity_bilstm: {}", rule_.description(class_names()[class_]));
}

std::unique_ptr<TextScorer> make_toxicity_bilstm(const PotentialOptions& options,
                                                 const TargetContext& context) {
  TWISTOR_CHECK(!options.classifier.empty(), ErrorKind::config, making_toxicity_bilstm,
                "there is no classifier", "set target.classifier; launch/get_model.sh toxicity fetches it");
  TWISTOR_ASSERT(context.read_arrays, "this potential needs a reader of HDF5 files");
  const ClassRule rule(options, making_toxicity_bilstm);
  const std::string class_name = options.class_name.empty() ? "toxic" : options.class_name;
  (void)index_of_class(class_name);  // before files are read
  const std::filesystem::path folder = options.classifier;
  const auto weights = folder / "model.weights.h5", words = folder / "words.json";
  return std::make_unique<ToxicityBilstm>(
      model::BiLstmClassifier(context.read_arrays(weights, model::BiLstmClassifier::array_names()),
                              ToxicityBilstm::n_words, "reading the classifier " + weights.string(),
                              context.engine),
      text::KerasWords::read(words), class_name, rule,
      sha256_hex(sha256_hex(MappedFile(weights).bytes()) + sha256_hex(MappedFile(words).bytes())));
}

}  // namespace twistor::potential
