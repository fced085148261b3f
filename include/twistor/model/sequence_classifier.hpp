// SPDX-License-Identifier: Apache-2.0
// Sequence classifiers: an encoder, its tokenizer, and the head that its folder holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/model/encoder.hpp"

namespace twistor::model {

/// Bert-, DebertaV2-, DistilBert- and RobertaForSequenceClassification. The head is computed in float32
/// whatever the encoder's precision. *Local*, immutable, thread-safe.
class SequenceClassifier {
 public:
  /// Reads a Hugging Face folder with config.json, safetensors and a tokenizer. Throws as load_encoder() and
  /// load_encoder_tokenizer() do. Collective over the ranks that share options.memory.
  explicit SequenceClassifier(const std::filesystem::path& folder, const LoadOptions& options = {});

  /// (C) names of the classes: id2label of config.json, or LABEL_0, LABEL_1, ...
  [[nodiscard]] const std::vector<std::string>& labels() const { return labels_; }
  /// Each class has a sigmoid of its own, rather than all of them one softmax.
  [[nodiscard]] bool is_multi_label() const { return is_multi_label_; }
  [[nodiscard]] const Encoder& encoder() const { return *encoder_; }
  /// sha256 of what defines the logits of a text: encoder, head, tokenizer, precision.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }

  /// (n, C) row-major.
  [[nodiscard]] std::vector<float> logits(const TokenTexts& texts) const;
  /// The same of texts, each cut to the encoder's max_tokens(), with the special tokens that its tokenizer
  /// puts around texts, unless they are in it (`adds_special` false).
  [[nodiscard]] std::vector<float> logits(std::span<const std::string> texts, bool adds_special = true) const;

  /// Whether its tokenizer says how a prompt and its answer are put together.
  [[nodiscard]] bool reads_pairs() const { return tokenizer_->has_pair_form(); }
  /// The same of each answer with its prompt, in two segments ([CLS] prompt [SEP] answer [SEP]); of both
  /// together that are too long the longer one is cut first. Throws Error(usage) unless reads_pairs().
  [[nodiscard]] std::vector<float> logits_of_answers(const std::string& prompt,
                                                     std::span<const std::string> answers) const;

 private:
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::string fingerprint_;
  std::vector<std::string> labels_;
  bool is_multi_label_ = false;
  std::shared_ptr<const device::Engine> head_engine_;
  device::Linear dense_, out_;
  device::ActivationKind activation_ = device::ActivationKind::tanh;
};

}  // namespace twistor::model
