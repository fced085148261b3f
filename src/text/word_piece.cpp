// SPDX-License-Identifier: Apache-2.0
// WordPiece (Devlin et al. 2019): a word is cut greedily into the longest pieces that the vocabulary has.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/trie.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

bool is_longer_than(std::string_view text, std::int64_t n_chars) {
  if (std::ssize(text) <= n_chars) return false;
  std::int64_t n = 0;
  for (std::size_t at = 0; at < text.size() && n <= n_chars; ++n) at += next_code_point(text, at).size;
  return n > n_chars;
}

class WordPiece final : public TokenModel {
 public:
  WordPiece(Vocabulary vocabulary, const WordPieceOptions& options, std::optional<std::int64_t> unknown_id)
      : vocabulary_(std::move(vocabulary)),
        max_chars_(options.max_input_chars_per_word),
        unknown_id_(unknown_id) {
    for (std::int64_t id = 0; id < vocabulary_.size(); ++id)
      if (const std::string* token = vocabulary_.token(id); token != nullptr && !token->empty())
        trie_.insert(*token, vocabulary_.find(*token).value_or(id));
    inside_ = trie_.walk(options.continuing_subword_prefix);
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  // At each place the trie is followed for as long as any token goes on: linear for a given vocabulary.
  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    if (is_longer_than(piece, max_chars_)) return push_unknown(piece, out);
    const std::size_t n_before = out.size();
    for (std::size_t at = 0; at < piece.size();) {
      const Trie::Match match = trie_.longest(piece.substr(at), at == 0 ? Trie::root : inside_);
      if (match.size == 0) {
        out.resize(n_before);
        return push_unknown(piece, out);
      }
      out.push_back(match.value);
      at += match.size;
    }
  }

  std::string description() const override { return "WordPiece"; }

 private:
  void push_unknown(std::string_view piece, std::vector<std::int64_t>& out) const {
    TWISTOR_CHECK(unknown_id_, ErrorKind::usage, "encoding a text",
                  fmt::format("the word {} is not in the vocabulary, which has no unknown token",
                              format::quote(piece)));
    out.push_back(*unknown_id_);
  }

  Vocabulary vocabulary_;
  std::int64_t max_chars_;
  std::optional<std::int64_t> unknown_id_;
  Trie trie_;
  Trie::Node inside_ = Trie::none;  ///< where pieces that continue a word begin
};

}  // namespace

std::unique_ptr<TokenModel> make_word_piece(const format::JsonView& model, PieceForm) {
  WordPieceOptions options;
  // The oldest files leave options at their defaults.
  if (const auto unknown = model.find("unk_token")) options.unknown_token = unknown->string();
  if (const auto prefix = model.find("continuing_subword_prefix"))
    options.continuing_subword_prefix = prefix->string();
  if (const auto most = model.find("max_input_chars_per_word"))
    options.max_input_chars_per_word = most->integer(0);
  return make_word_piece(Vocabulary::from_json(model.at("vocab")), options);
}

std::unique_ptr<TokenModel> make_word_piece(Vocabulary vocabulary, const WordPieceOptions& options) {
  const auto unknown_id = vocabulary.find(options.unknown_token);
  return std::make_unique<WordPiece>(std::move(vocabulary), options, unknown_id);
}

}  // namespace twistor::text
