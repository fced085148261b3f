// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::text {

/// Ids with the segment that each belongs to; both have the same length.
struct Encoding {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> type_ids;
};

/// Ids that a tokenizer puts around a text, and the rule of its files that says so.
struct SpecialTokens {
  std::vector<std::int64_t> before;
  std::vector<std::int64_t> after;
  std::string rule;  ///< for people: "the post_processor of tokenizer.json"; empty: no file says anything
};

/// *Local*, immutable, thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;
  /// Ids of a UTF-8 text, without special tokens added. Invalid UTF-8 is encoded bytewise where the
  /// vocabulary can.
  [[nodiscard]] virtual std::vector<std::int64_t> encode(std::string_view text) const = 0;
  /// The ids with the special tokens that the model expects around a text ([CLS] x [SEP], <s> x </s>), where
  /// the files say so; the text's own ids are cut at the end so that all together are at most `max_tokens`.
  /// Truncation and padding in the files are not looked at. Throws Error(usage) if `max_tokens` has no room
  /// for the special tokens.
  [[nodiscard]] virtual Encoding encode_with_template(std::string_view text,
                                                      std::int64_t max_tokens) const = 0;
  /// Two texts, a prompt and its answer, in the form that the model expects ([CLS] first [SEP] second [SEP]),
  /// each token with its segment; the longer one is cut first, so that all together are at most `max_tokens`.
  /// Throws Error(usage) likewise, and where has_pair_form() is false.
  [[nodiscard]] virtual Encoding encode_pair(std::string_view first, std::string_view second,
                                             std::int64_t max_tokens) const;
  /// Whether the files say how two texts are put together.
  [[nodiscard]] virtual bool has_pair_form() const { return false; }
  /// The text of ids; throws Error(usage) on an id out of range.
  [[nodiscard]] virtual std::string decode(std::span<const std::int64_t> ids) const = 0;
  /// The id of a token as the vocabulary spells it.
  [[nodiscard]] virtual std::optional<std::int64_t> token_to_id(std::string_view token) const = 0;
  /// How the vocabulary spells a token: what token_to_id() takes; nothing if no token has the id.
  [[nodiscard]] virtual std::optional<std::string> spelling_of(std::int64_t /*id*/) const {
    return std::nullopt;
  }
  /// What encode_with_template() puts around a text.
  [[nodiscard]] virtual SpecialTokens special_tokens() const { return {}; }
  /// Whether a token has this id; vocabularies may have holes.
  [[nodiscard]] virtual bool has_token(std::int64_t id) const { return id >= 0 && id < vocab_size(); }
  /// Ids that end a text, the main one first, where the files name any: generation_config.json, then the
  /// eos_token of tokenizer_config.json, then config.json.
  [[nodiscard]] virtual std::vector<std::int64_t> end_ids() const = 0;
  /// The first of them.
  [[nodiscard]] std::optional<std::int64_t> eos_id() const {
    const std::vector<std::int64_t> ids = end_ids();
    return ids.empty() ? std::nullopt : std::optional(ids.front());
  }
  /// One line for people.
  [[nodiscard]] virtual std::string description() const = 0;
};

/// Reads the tokenizer of a model: a folder with tokenizer.json (or vocab.json + merges.txt, or vocab.txt),
/// or a .gguf file. nullptr if a folder has none of these, or the .gguf file has no vocabulary. Throws
/// Error(data) naming file, place and what was expected; kinds that are not supported are refused by name.
[[nodiscard]] std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& model);

/// The same; Error(no_input) with `doing` where there is none.
[[nodiscard]] std::unique_ptr<Tokenizer> need_tokenizer(const std::filesystem::path& model,
                                                        const std::string& doing);

}  // namespace twistor::text
