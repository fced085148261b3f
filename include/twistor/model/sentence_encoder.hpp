// SPDX-License-Identifier: Apache-2.0
// Sentence embeddings: an encoder, its tokenizer, and the pooling that sentence-transformers' files ask for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/encoder.hpp"

namespace twistor::model {

/// *Local*, immutable, thread-safe.
class SentenceEncoder {
 public:
  /// Reads an encoder's folder with modules.json (Transformer, Pooling, perhaps Normalize), the pooling's
  /// config.json and sentence_bert_config.json; without modules.json it is mean pooling without
  /// normalisation. Throws as load_encoder() and load_encoder_tokenizer() do, and Error(data) naming any
  /// module, pooling or option that is not supported. Collective over the ranks that share options.memory.
  explicit SentenceEncoder(const std::filesystem::path& folder, const LoadOptions& options = {});

  [[nodiscard]] std::int64_t width() const { return encoder_->width(); }
  [[nodiscard]] std::int64_t max_tokens() const { return max_tokens_; }
  [[nodiscard]] bool is_normalised() const { return is_normalised_; }
  /// sha256 of what defines the vector of a text: encoder, pooling, tokenizer, longest text, precision.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  /// sha256 of the weights, the pooling and the normalisation alone: ties heads to encoders, wherever copies
  /// of the encoder come from.
  [[nodiscard]] const std::string& space_fingerprint() const { return space_fingerprint_; }
  [[nodiscard]] std::string description() const;

  /// (n, D) row-major; of length 1 each if is_normalised().
  [[nodiscard]] std::vector<float> embed(const TokenTexts& texts) const;
  /// The same of texts, each cut to max_tokens().
  [[nodiscard]] std::vector<float> embed(std::span<const std::string> texts) const;

 private:
  void read_modules(const std::filesystem::path& folder);

  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::int64_t max_tokens_ = 0;
  device::Pooling pooling_ = device::Pooling::sum;  // over the number of tokens: the mean
  bool is_normalised_ = false;
  std::string fingerprint_, space_fingerprint_;
};

}  // namespace twistor::model
