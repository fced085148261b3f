// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding (Sennrich et al. 2016), over characters with or without a fallback to bytes, or over
// bytes that are spelled as characters (Radford et al. 2019).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "merge_table.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/token_model.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

constexpr Symbol none = -1;

struct Options {
  std::optional<std::string> unknown_token{};  // for symbols without a token; without it they are left out
  bool fuse_unknown = false;                   // one unknown token for a run of them
  bool byte_fallback = false;      // <0x41> and its like instead, where there is one for every byte
  bool whole_words_first = false;  // a piece that is a token is not built from merges
  std::string prefix{};            // before every symbol of a piece but the first
  std::string suffix{};            // after the last one
};

Symbol find_symbol(const Vocabulary& vocabulary, std::string_view token) {
  const auto id = vocabulary.find(token);
  return id ? static_cast<Symbol>(*id) : none;
}

class Bpe final : public TokenModel {
 public:
  Bpe(Vocabulary vocabulary, MergeTable merges, Options options, PieceForm form)
      : vocabulary_(std::move(vocabulary)),
        merges_(std::move(merges)),
        options_(std::move(options)),
        form_(form),
        is_bare_(options_.prefix.empty() && options_.suffix.empty()) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<unsigned char>(byte);
      byte_ids_[byte] =
          find_symbol(vocabulary_, spell(std::string_view(reinterpret_cast<const char*>(&value), 1)));
      fallback_ids_[byte] = find_symbol(vocabulary_, fmt::format("<0x{:02X}>", byte));
    }
    if (options_.unknown_token) unknown_id_ = find_symbol(vocabulary_, *options_.unknown_token);
    // A prefix would spoil the order by size; it goes with short words anyway.
    if (is_bare_) merges_.learn_cuts(first_symbols_of_texts());
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    if (options_.whole_words_first)
      if (const auto id = vocabulary_.find(spell(piece))) return out.push_back(*id);
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    spread(piece, symbols);
    symbols.resize(merges_.apply(symbols));
    out.insert(out.end(), symbols.begin(), symbols.end());
  }

  std::string description() const override {
    return fmt::format("{}, {} merges", form_ == PieceForm::bytes ? "byte-level BPE" : "BPE", merges_.size());
  }

 private:
  std::string spell(std::string_view piece) const {
    return form_ == PieceForm::bytes ? spell_bytes(piece) : std::string(piece);
  }

  // Which tokens can stand in a text before anything is merged.
  std::vector<bool> first_symbols_of_texts() const {
    std::vector<bool> out(static_cast<std::size_t>(vocabulary_.size()));
    const auto mark = [&](Symbol id) {
      if (id != none) out[static_cast<std::size_t>(id)] = true;
    };
    for (const auto* ids : {&byte_ids_, &fallback_ids_}) std::for_each(ids->begin(), ids->end(), mark);
    mark(unknown_id_);
    for (Symbol id = 0; id < static_cast<Symbol>(vocabulary_.size()); ++id) {
      const std::string* token = vocabulary_.token(id);
      if (token != nullptr && !token->empty() && next_code_point(*token, 0).size == token->size()) mark(id);
    }
    return out;
  }

  // The symbols of a piece before merging. As in the reference an unknown token waits for what follows, and
  // bytes of the fallback overtake it.
  void spread(std::string_view piece, std::vector<Symbol>& out) const {
    Symbol waiting = none;
    const auto let_go = [&] {
      if (waiting != none) out.push_back(std::exchange(waiting, none));
    };
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t size = form_ == PieceForm::bytes ? 1 : next_code_point(piece, at).size;
      const std::string_view raw = piece.substr(at, size);
      const bool is_first = at == 0;
      at += size;
      const Symbol id = symbol_of(raw, is_first, at == piece.size());
      if (id != none) {
        let_go();
        out.push_back(id);
      } else if (!fall_back(raw, is_first, at == piece.size(), out) && options_.unknown_token) {
        if (!options_.fuse_unknown) let_go();
        waiting = unknown_id();
      }
    }
    let_go();
  }

  std::string dress(std::string_view raw, bool is_first, bool is_last) const {
    return (is_first ? "" : options_.prefix) + spell(raw) + (is_last ? options_.suffix : "");
  }

  Symbol symbol_of(std::string_view raw, bool is_first, bool is_last) const {
    if (!is_bare_) return find_symbol(vocabulary_, dress(raw, is_first, is_last));
    return raw.size() == 1 ? byte_ids_[static_cast<unsigned char>(raw.front())]
                           : find_symbol(vocabulary_, raw);
  }

  bool fall_back(std::string_view raw, bool is_first, bool is_last, std::vector<Symbol>& out) const {
    if (!options_.byte_fallback) return false;
    const std::string bytes = dress(raw, is_first, is_last);
    const auto id_of = [&](char byte) { return fallback_ids_[static_cast<unsigned char>(byte)]; };
    if (std::any_of(bytes.begin(), bytes.end(), [&](char byte) { return id_of(byte) == none; })) return false;
    for (const char byte : bytes) out.push_back(id_of(byte));
    return true;
  }

  Symbol unknown_id() const {
    TWISTOR_CHECK(unknown_id_ != none, ErrorKind::usage, "encoding a text",
                  fmt::format("a character is not in the vocabulary, and neither is the unknown token {}",
                              format::quote(*options_.unknown_token)),
                  "use characters of the vocabulary, or give token ids");
    return unknown_id_;
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  Options options_;
  PieceForm form_;
  bool is_bare_;                            // no prefix, no suffix
  std::array<Symbol, 256> byte_ids_{};      // of single bytes: symbols, or ASCII characters
  std::array<Symbol, 256> fallback_ids_{};  // of <0x00> to <0xFF>
  Symbol unknown_id_ = none;
};

// Merges as a file lists them; rank is the place in the list.
class MergeReader {
 public:
  MergeReader(const Vocabulary& vocabulary, std::size_t prefix_size)
      : vocabulary_(vocabulary), prefix_size_(prefix_size) {}

  // Returns what is wrong, or "".
  std::string add(std::string_view left, std::string_view right) {
    if (left.empty() || right.size() <= prefix_size_) return "expected two tokens with something in both";
    const std::string joined = std::string(left) + std::string(right.substr(prefix_size_));
    for (const std::string_view token : {left, right, std::string_view(joined)})
      if (!vocabulary_.find(token))
        return fmt::format("the token {} is not in the vocabulary", format::quote(token));
    table_.add(find_symbol(vocabulary_, left), find_symbol(vocabulary_, right),
               find_symbol(vocabulary_, joined), rank_++, joined.size());
    return {};
  }

  MergeTable finish() { return std::move(table_); }

 private:
  const Vocabulary& vocabulary_;
  std::size_t prefix_size_;
  MergeTable table_;
  std::int32_t rank_ = 0;
};

// "left right" into its two halves; nullopt unless there is exactly one space with something on both sides.
std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size()) return std::nullopt;
  if (line.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
  return std::pair(line.substr(0, space), line.substr(space + 1));
}

MergeTable read_merges(const format::JsonView& list, const Vocabulary& vocabulary, std::size_t prefix_size) {
  MergeReader reader(vocabulary, prefix_size);
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const format::JsonView item = list.item(i);
    std::optional<std::pair<std::string_view, std::string_view>> halves;
    if (item.is_array()) {
      if (item.array_size() != 2) item.fail(fmt::format("expected two tokens, got {}", item.array_size()));
      halves.emplace(item.item(0).string(), item.item(1).string());
    } else {
      halves = split_merge(item.string());
      if (!halves)
        item.fail("expected two tokens with one space between them, got " + format::quote(item.string()));
    }
    const std::string problem = reader.add(halves->first, halves->second);
    if (!problem.empty()) item.fail(problem);
  }
  return reader.finish();
}

Options read_options(const format::JsonView& model) {
  const auto flag = [&](std::string_view key) {
    const auto member = model.find(key);
    return member && member->boolean();
  };
  const auto text = [&](std::string_view key) {
    const auto member = model.find(key);
    return member ? member->string() : std::string();
  };
  if (const auto dropout = model.find("dropout"); dropout && dropout->number() != 0)
    dropout->fail("random merges are not supported; expected null");
  Options options;
  if (const auto unknown = model.find("unk_token")) options.unknown_token = unknown->string();
  options.fuse_unknown = flag("fuse_unk");
  options.byte_fallback = flag("byte_fallback");
  options.whole_words_first = flag("ignore_merges");
  options.prefix = text("continuing_subword_prefix");
  options.suffix = text("end_of_word_suffix");
  return options;
}

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const format::JsonView& model, PieceForm form) {
  Options options = read_options(model);
  Vocabulary vocabulary = Vocabulary::from_json(model.at("vocab"));
  MergeTable merges = read_merges(model.at("merges"), vocabulary, options.prefix.size());
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(merges), std::move(options), form);
}

std::unique_ptr<TokenModel> make_byte_bpe(Vocabulary vocabulary, std::span<const std::string_view> merges,
                                          const std::string& doing, bool whole_words_first) {
  MergeReader reader(vocabulary, 0);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto halves = split_merge(merges[i]);
    TWISTOR_CHECK(halves, ErrorKind::data, doing,
                  fmt::format("merge {}: expected two tokens with one space between them, got {}", i,
                              format::quote(merges[i])));
    const std::string problem = reader.add(halves->first, halves->second);
    TWISTOR_CHECK(problem.empty(), ErrorKind::data, doing, fmt::format("merge {}: {}", i, problem));
  }
  MergeTable table = reader.finish();
  return std::make_unique<Bpe>(std::move(vocabulary), std::move(table),
                               Options{.whole_words_first = whole_words_first}, PieceForm::bytes);
}

}  // namespace twistor::text
