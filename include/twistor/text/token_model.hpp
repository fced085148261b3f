// SPDX-License-Identifier: Apache-2.0
// What turns a piece of text into ids: the part of a tokenizer that differs between kinds, and the registry
// of kinds.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/format/json.hpp"
#include "twistor/text/vocabulary.hpp"

namespace twistor::text {

/// *Local*, immutable, thread-safe.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  [[nodiscard]] virtual const Vocabulary& vocabulary() const = 0;
  /// Appends the ids of one piece of the pre-tokenizer.
  virtual void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const = 0;
  /// For people: "byte-level BPE, 48900 merges".
  [[nodiscard]] virtual std::string description() const = 0;
};

/// What a piece of the pre-tokenizer is to the model.
enum class PieceForm {
  text,   ///< UTF-8, spelled as in the vocabulary
  bytes,  ///< any bytes, which the vocabulary spells by the symbols of byte_symbols.hpp
};

/// A kind of the "model" of a tokenizer.json. A new kind is one source file with a function like these and
/// one line in the table of src/text/tokenizer_json.cpp.
struct TokenModelKind {
  std::string_view type;  ///< "type" in the file
  bool takes_bytes;       ///< whether it can spare the pre-tokenizer the spelling of bytes; else it gets text
  std::unique_ptr<TokenModel> (*make)(const format::JsonView& model, PieceForm form);
};

/// src/text/bpe.cpp. Throws Error(data).
[[nodiscard]] std::unique_ptr<TokenModel> make_bpe(const format::JsonView& model, PieceForm form);
/// Byte-level. Merges as "left right" lines, in order of rank; `doing` is for messages. Throws Error(data).
[[nodiscard]] std::unique_ptr<TokenModel> make_byte_bpe(Vocabulary vocabulary,
                                                        std::span<const std::string_view> merges,
                                                        const std::string& doing,
                                                        bool whole_words_first = false);
/// src/text/word_piece.cpp. A word without pieces becomes the unknown token; where the vocabulary has none,
/// it is an Error(usage) when it comes.
struct WordPieceOptions {
  std::string unknown_token = "[UNK]";
  std::string continuing_subword_prefix = "##";
  std::int64_t max_input_chars_per_word = 100;  ///< longer words are unknown
};
[[nodiscard]] std::unique_ptr<TokenModel> make_word_piece(const format::JsonView& model, PieceForm form);
[[nodiscard]] std::unique_ptr<TokenModel> make_word_piece(Vocabulary vocabulary,
                                                          const WordPieceOptions& options);
/// src/text/score_bpe.cpp. A vocabulary of sentencepiece's BPE; ids are positions, all three of equal length.
struct ScoredVocabulary {
  Vocabulary vocabulary;
  std::vector<double> scores;  ///< the larger, the sooner is a token put together
  std::vector<bool> is_text;   ///< false for tokens that no text is merged into: control, unknown, bytes
  std::optional<std::int64_t>
      unknown_id;  ///< for characters that are no token, where <0x41> and its like are missing
};
/// Throws Error(data) on scores that are not finite, and on tokens of more than 1024 bytes.
[[nodiscard]] std::unique_ptr<TokenModel> make_score_bpe(ScoredVocabulary vocabulary,
                                                         const std::string& doing);
/// src/text/unigram.cpp. Throws Error(data); a character that is not in the vocabulary is an Error(usage)
/// when it comes, where the file has no unknown token.
[[nodiscard]] std::unique_ptr<TokenModel> make_unigram(const format::JsonView& model, PieceForm form);
/// src/text/word_level.cpp. Throws Error(data).
[[nodiscard]] std::unique_ptr<TokenModel> make_word_level(const format::JsonView& model, PieceForm form);

}  // namespace twistor::text
