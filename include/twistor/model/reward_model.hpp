// SPDX-License-Identifier: Apache-2.0
// Sequence classifiers on decoders and encoders: the reward models of RLHF.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/device/packed_matrix.hpp"
#include "twistor/model/language_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/sequence_classifier.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// LlamaForSequenceClassification and its relatives: a linear head, without a bias, on the hidden state of
/// a text's last token. The last by position: texts are never padded to the left of it, so a text that ends
/// with the token that others pad with is read to its end. Or DebertaV2ForSequenceClassification and the
/// other encoders of SequenceClassifier. *Local*, immutable, thread-safe.
class RewardModel {
 public:
  /// Reads a Hugging Face folder with config.json, safetensors and a tokenizer. Throws as
  /// load_language_model(), and Error(data) where the folder is no such model or has no tokenizer. Collective
  /// over the ranks that share options.memory.
  explicit RewardModel(const std::filesystem::path& folder, const LoadOptions& options = {});

  /// (C) names of the outputs: id2label of config.json, or LABEL_0, LABEL_1, ...
  [[nodiscard]] const std::vector<std::string>& labels() const { return labels_; }
  /// sha256 of what defines the logits of a text: weights, tokenizer, precision.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] std::string description() const;

  /// (n, C) row-major; each text with the special tokens that its tokenizer puts around texts, unless they
  /// are in it (`adds_special` false), cut at its end to the context. Throws Error(data) on a text without
  /// tokens.
  [[nodiscard]] std::vector<float> logits(std::span<const std::string> texts, bool adds_special = true) const;

  /// As SequenceClassifier's; false for decoders, which read a conversation as one text.
  [[nodiscard]] bool reads_pairs() const { return encoder_ != nullptr && encoder_->reads_pairs(); }
  [[nodiscard]] std::vector<float> logits_of_answers(const std::string& prompt,
                                                     std::span<const std::string> answers) const;

 private:
  /// By the decoder.
  [[nodiscard]] std::vector<float> logits_of_last(std::span<const std::string> texts,
                                                  bool adds_special) const;

  std::unique_ptr<SequenceClassifier> encoder_;  // where it is one; then there is nothing of the rest
  std::unique_ptr<LanguageModel> body_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::vector<std::string> labels_;
  std::string fingerprint_;
  device::PackedBuffer head_;
};

}  // namespace twistor::model
