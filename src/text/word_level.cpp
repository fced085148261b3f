// SPDX-License-Identifier: Apache-2.0
// One token a word: a table.
#include <fmt/format.h>

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/token_model.hpp"

namespace twistor::text {
namespace {

class WordLevel final : public TokenModel {
 public:
  WordLevel(Vocabulary vocabulary, std::optional<std::int64_t> unknown_id)
      : vocabulary_(std::move(vocabulary)), unknown_id_(unknown_id) {}

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    auto id = vocabulary_.find(piece);
    if (!id) id = unknown_id_;
    TWISTOR_CHECK(id, ErrorKind::usage, "encoding a text",
                  fmt::format("the word {} is not in the vocabulary of {} words", format::quote(piece),
                              vocabulary_.size()),
                  "use words of the vocabulary, or give token ids");
    out.push_back(*id);
  }

  std::string description() const override { return "word-level"; }

 private:
  Vocabulary vocabulary_;
  std::optional<std::int64_t> unknown_id_;
};

}  // namespace

std::unique_ptr<TokenModel> make_word_level(const format::JsonView& model, PieceForm) {
  Vocabulary vocabulary = Vocabulary::from_json(model.at("vocab"));
  // Files name an unknown token even where the vocabulary has none; then an unknown word is an error when it
  // comes.
  const auto unknown = model.find("unk_token");
  const auto unknown_id = unknown ? vocabulary.find(unknown->string()) : std::nullopt;
  return std::make_unique<WordLevel>(std::move(vocabulary), unknown_id);
}

}  // namespace twistor::text
