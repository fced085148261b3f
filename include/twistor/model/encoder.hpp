// SPDX-License-Identifier: Apache-2.0
// Encoders (BERT, RoBERTa, DistilBERT, DeBERTa): from the tokens of whole texts to hidden states, without
// padding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "twistor/model/load.hpp"
#include "twistor/text/tokenizer.hpp"

namespace twistor::model {

/// n tokenised texts of any lengths, one after another.
struct TokenTexts {
  std::vector<std::int64_t> ids;        // all tokens
  std::vector<std::int64_t> type_ids;   // as many: which segment a token belongs to
  std::vector<std::int64_t> begins{0};  // (n + 1): text i is [begins[i], begins[i + 1])

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(begins.size()) - 1; }
  [[nodiscard]] std::int64_t length(std::int64_t i) const {
    return begins[static_cast<std::size_t>(i) + 1] - begins[static_cast<std::size_t>(i)];
  }
  void add(std::span<const std::int64_t> text_ids, std::span<const std::int64_t> text_type_ids);
};

/// A row of any result depends on its own text alone; on engines that keep bits to the bit, in every batch
/// and on any number of threads. *Local*, immutable, thread-safe.
class Encoder {
 public:
  virtual ~Encoder() = default;
  [[nodiscard]] virtual std::int64_t width() const = 0;       // D
  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;  // V
  [[nodiscard]] virtual std::int64_t max_tokens() const = 0;  // of one text
  /// sha256 of what defines the outputs, as hex, with the precision where it is not float32.
  [[nodiscard]] virtual std::string fingerprint() const = 0;
  /// One line for people: family, parameters, sizes, dtype.
  [[nodiscard]] virtual std::string description() const = 0;

  /// Receives the last hidden states of text i, (length(i), D) row-major, valid during the call.
  using Visitor = std::function<void(std::int64_t i, std::span<const float> hidden)>;
  /// Runs all texts, some at a time, and calls `visit` once for each, in order. Throws Error(usage) on a text
  /// without tokens or with more than max_tokens(), and on a token or type id out of range.
  virtual void run(const TokenTexts& texts, const Visitor& visit) const = 0;
  /// One vector a text, (n, D) float64 on the engine's device, of its last hidden states; throws likewise.
  [[nodiscard]] virtual at::Tensor pool(const TokenTexts& texts, device::Pooling how) const = 0;
  [[nodiscard]] virtual std::shared_ptr<const device::Engine> engine() const = 0;
};

/// Reads a Hugging Face folder (config.json + safetensors); a task's head in it is ignored. Collective over
/// the ranks that share options.memory, otherwise *local*. Throws Error(no_input), or Error(data) naming all
/// tensors that are missing or have another shape, or the key that asks for something that is not supported.
[[nodiscard]] std::unique_ptr<Encoder> load_encoder(const std::filesystem::path& folder,
                                                    const LoadOptions& options = {});

/// The tokenizer of an encoder's folder, checked against its vocabulary. Throws Error(no_input) if there is
/// none, Error(data) if it has ids that the encoder does not know.
[[nodiscard]] std::unique_ptr<text::Tokenizer> load_encoder_tokenizer(const std::filesystem::path& folder,
                                                                      const Encoder& encoder);

/// sha256 of all files that may define the tokenizer of a folder, as hex.
[[nodiscard]] std::string tokenizer_fingerprint(const std::filesystem::path& folder);

/// Texts with the special tokens that the tokenizer's template puts around them, unless they are in them
/// (`adds_special` false), each cut to max_tokens.
[[nodiscard]] TokenTexts tokenise(const text::Tokenizer& tokenizer, std::span<const std::string> texts,
                                  std::int64_t max_tokens, bool adds_special = true);

/// Each answer with its prompt as text::Tokenizer::encode_pair() puts them together.
[[nodiscard]] TokenTexts tokenise_answers(const text::Tokenizer& tokenizer, const std::string& prompt,
                                          std::span<const std::string> answers, std::int64_t max_tokens);

}  // namespace twistor::model
