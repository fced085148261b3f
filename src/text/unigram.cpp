// SPDX-License-Identifier: Apache-2.0
// Unigram language models over pieces (Kudo 2018): the segmentation of the highest score.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/trie.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

constexpr std::int64_t none = -1;
// How much worse an unknown character is than the worst token (as in sentencepiece).
constexpr double unknown_penalty = 10.0;

class Unigram final : public TokenModel {
 public:
  Unigram(Vocabulary vocabulary, std::vector<double> scores, std::int64_t unknown_id, bool byte_fallback)
      : vocabulary_(std::move(vocabulary)),
        scores_(std::move(scores)),
        unknown_id_(unknown_id),
        byte_fallback_(byte_fallback) {
    for (std::int64_t id = 0; id < vocabulary_.size(); ++id)
      if (const std::string* token = vocabulary_.token(id); !token->empty()) trie_.insert(*token, id);
    for (std::size_t byte = 0; byte < 256; ++byte)
      fallback_ids_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte)).value_or(none);
    if (!scores_.empty())
      unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - unknown_penalty;
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    const std::vector<Node> best = best_paths(piece);
    // From the end; a run of unknown characters becomes one.
    std::vector<std::string_view> parts;
    bool last_is_unknown = false;
    for (std::size_t end = piece.size(); end > 0;) {
      const std::size_t begin = best[end].begin;
      const bool is_unknown = best[end].id == unknown_id_;
      if (is_unknown && last_is_unknown)
        parts.back() = piece.substr(begin, parts.back().size() + end - begin);
      else
        parts.push_back(piece.substr(begin, end - begin));
      last_is_unknown = is_unknown;
      end = begin;
    }
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) append_part(*part, out);
  }

  std::string description() const override { return "Unigram"; }

 private:
  // The best way to a place in the text: its last token, and where that begins.
  struct Node {
    double score = -std::numeric_limits<double>::infinity();
    std::size_t begin = 0;
    std::int64_t id = none;
    bool is_reached = false;
  };

  // Viterbi's algorithm; of equal scores the way found first, whose last token is the longest, stays.
  // O(length of the text times that of the longest token).
  std::vector<Node> best_paths(std::string_view text) const {
    std::vector<Node> nodes(text.size() + 1);
    nodes[0].score = 0;
    const auto offer = [&](std::size_t begin, std::size_t end, std::int64_t id, double score) {
      const double total = nodes[begin].score + score;
      if (!nodes[end].is_reached || total > nodes[end].score) nodes[end] = {total, begin, id, true};
    };
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = next_code_point(text, at).size;
      bool is_known = false;
      Trie::Node node = Trie::root;
      for (std::size_t end = at; end < text.size();) {
        node = trie_.step(node, text[end++]);
        if (node == Trie::none) break;
        const std::int64_t id = trie_.value(node);
        if (id < 0) continue;
        offer(at, end, id, scores_[static_cast<std::size_t>(id)]);
        is_known = is_known || end - at == size;
      }
      if (!is_known) {
        require_unknown_id();
        offer(at, at + size, unknown_id_, unknown_score_);
      }
      at += size;
    }
    return nodes;
  }

  void append_part(std::string_view part, std::vector<std::int64_t>& out) const {
    const auto id_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    if (const auto id = vocabulary_.find(part)) {
      out.push_back(*id);
    } else if (byte_fallback_ &&
               std::all_of(part.begin(), part.end(), [&](char b) { return id_of(b) != none; })) {
      for (const char byte : part) out.push_back(id_of(byte));
    } else {
      out.push_back(unknown_id_);
    }
  }

  void require_unknown_id() const {
    TWISTOR_CHECK(unknown_id_ != none, ErrorKind::usage, "encoding a text",
                  "a character is not in the vocabulary, and the file names no unknown token (unk_id)",
                  "use characters of the vocabulary, or give token ids");
  }

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  std::int64_t unknown_id_;
  bool byte_fallback_;
  double unknown_score_ = 0;
  Trie trie_;
  std::array<std::int64_t, 256> fallback_ids_{};  // of <0x00> to <0xFF>
};

}  // namespace

std::unique_ptr<TokenModel> make_unigram(const format::JsonView& model, PieceForm) {
  const format::JsonView list = model.at("vocab");
  Vocabulary vocabulary;
  std::vector<double> scores;
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const format::JsonView item = list.item(i);
    if (item.array_size() != 2)
      item.fail(fmt::format("expected a token and its score, got {} values", item.array_size()));
    const std::string& token = item.item(0).string();
    if (!vocabulary.add(token, static_cast<std::int64_t>(i)))
      item.fail(fmt::format("the token {} is there twice", format::quote(token)));
    scores.push_back(item.item(1).number());
    if (!std::isfinite(scores.back()))
      item.fail(fmt::format("expected a finite score, got {}", scores.back()));
  }
  std::int64_t unknown_id = none;
  if (const auto unknown = model.find("unk_id")) unknown_id = unknown->integer(0, vocabulary.size() - 1);
  const auto fallback = model.find("byte_fallback");
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), unknown_id,
                                   fallback && fallback->boolean());
}

}  // namespace twistor::text
