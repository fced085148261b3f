// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding as sentencepiece has it: neighbours are joined whenever the result is a token, the one
// of the best score first; characters without a token become bytes.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <utility>

#include "merge_table.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

constexpr Symbol none = -1;
// Every way to cut a token in two is looked at, so an absurd one must not decide how long that takes.
constexpr std::size_t longest_token_bytes = 1024;

class ScoreBpe final : public TokenModel {
 public:
  ScoreBpe(ScoredVocabulary in, const std::string& doing)
      : vocabulary_(std::move(in.vocabulary)),
        unknown_id_(in.unknown_id),
        n_tokens_(static_cast<Symbol>(vocabulary_.size())) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto id = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
      fallback_ids_[byte] = id ? static_cast<Symbol>(*id) : none;
    }
    const std::vector<std::int32_t> ranks = rank(in.scores);
    for (Symbol id = 0; id < n_tokens_; ++id)
      if (in.is_text[static_cast<std::size_t>(id)]) add_characters(*vocabulary_.token(id), id);
    for (Symbol id = 0; id < n_tokens_; ++id)
      if (in.is_text[static_cast<std::size_t>(id)])
        add_merges(id, ranks[static_cast<std::size_t>(id)], in.is_text, doing);
    stranger_ = next_symbol_++;
    std::vector<bool> may_stand_first(static_cast<std::size_t>(next_symbol_));
    for (auto& [value, symbol] : characters_) {
      if (symbol == none) symbol = stranger_;  // in tokens, but in no merge
      may_stand_first[static_cast<std::size_t>(symbol)] = true;
    }
    merges_.learn_cuts(may_stand_first);
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    for (std::size_t at = 0; at < piece.size();) {
      const CodePoint point = next_code_point(piece, at);
      const auto known = point.is_valid ? characters_.find(point.value) : characters_.end();
      symbols.push_back(known == characters_.end() ? stranger_ : known->second);
      at += point.size;
    }
    symbols.resize(merges_.apply(symbols));
    std::size_t at = 0;
    for (const Symbol symbol : symbols) {
      if (symbol < n_tokens_) {
        out.push_back(symbol);
        at += vocabulary_.token(symbol)->size();
      } else {
        const std::size_t size = next_code_point(piece, at).size;
        append_bytes(piece.substr(at, size), out);
        at += size;
      }
    }
  }

  std::string description() const override { return "BPE by scores"; }

 private:
  // 0 for the best score; equal scores have equal ranks.
  static std::vector<std::int32_t> rank(const std::vector<double>& scores) {
    std::vector<double> sorted = scores;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    std::vector<std::int32_t> out;
    out.reserve(scores.size());
    for (const double score : scores)
      out.push_back(static_cast<std::int32_t>(
          std::lower_bound(sorted.begin(), sorted.end(), score, std::greater<>()) - sorted.begin()));
    return out;
  }

  // Every character of a token can stand in a text, whether it is a token itself or not.
  void add_characters(const std::string& token, Symbol id) {
    for (std::size_t at = 0; at < token.size();) {
      const CodePoint point = next_code_point(token, at);
      if (point.is_valid && point.size == token.size())
        characters_[point.value] = id;
      else if (point.is_valid && !characters_.contains(point.value))
        characters_.emplace(point.value, none);
      at += point.size;
    }
  }

  // The symbol of a part of a token: a character or a token; none otherwise.
  Symbol part_symbol(std::string_view part, const std::vector<bool>& is_text) {
    const CodePoint point = next_code_point(part, 0);
    if (point.size == part.size()) {
      if (!point.is_valid) return none;
      Symbol& symbol = characters_.at(point.value);
      if (symbol == none) symbol = next_symbol_++;
      return symbol;
    }
    const auto id = vocabulary_.find(part);
    return id && is_text[static_cast<std::size_t>(*id)] ? static_cast<Symbol>(*id) : none;
  }

  void add_merges(Symbol id, std::int32_t rank, const std::vector<bool>& is_text, const std::string& doing) {
    const std::string_view token = *vocabulary_.token(id);
    TWISTOR_CHECK(
        token.size() <= longest_token_bytes, ErrorKind::data, doing,
        fmt::format("token {}: expected at most {} bytes, got {}", id, longest_token_bytes, token.size()));
    for (std::size_t cut = 0; cut < token.size();) {
      cut += next_code_point(token, cut).size;
      if (cut >= token.size()) break;
      const Symbol left = part_symbol(token.substr(0, cut), is_text);
      const Symbol right = left == none ? none : part_symbol(token.substr(cut), is_text);
      if (right != none) merges_.add(left, right, id, rank, token.size());
    }
  }

  void append_bytes(std::string_view text, std::vector<std::int64_t>& out) const {
    const auto id_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    if (std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) != none; })) {
      for (const char byte : text) out.push_back(id_of(byte));
      return;
    }
    TWISTOR_CHECK(unknown_id_, ErrorKind::usage, "encoding a text",
                  fmt::format("{} is not in the vocabulary, which has neither its bytes nor an unknown token",
                              format::quote(text)),
                  "use characters of the vocabulary, or give token ids");
    out.push_back(*unknown_id_);
  }

  Vocabulary vocabulary_;
  std::optional<std::int64_t> unknown_id_;
  Symbol n_tokens_;
  Symbol next_symbol_ = n_tokens_;  // for characters that are no token
  Symbol stranger_ = none;          // stands for every character that no token has
  std::unordered_map<char32_t, Symbol> characters_;
  std::array<Symbol, 256> fallback_ids_{};  // of <0x00> to <0xFF>
  MergeTable merges_;
};

}  // namespace

std::unique_ptr<TokenModel> make_score_bpe(ScoredVocabulary vocabulary, const std::string& doing) {
  const auto n = static_cast<std::size_t>(vocabulary.vocabulary.size());
  TWISTOR_CHECK(vocabulary.scores.size() == n && vocabulary.is_text.size() == n, ErrorKind::data, doing,
                fmt::format("expected a score for each of {} tokens, got {}", n, vocabulary.scores.size()));
  for (std::size_t i = 0; i < n; ++i)
    TWISTOR_CHECK(std::isfinite(vocabulary.scores[i]), ErrorKind::data, doing,
                  fmt::format("token {}: expected a finite score, got {}", i, vocabulary.scores[i]));
  return std::make_unique<ScoreBpe>(std::move(vocabulary), doing);
}

}  // namespace twistor::text
