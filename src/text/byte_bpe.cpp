// Byte-level byte-pair encoding (Sennrich et al. 2016 over bytes, as in Radford et al. 2019).
#include <fmt/format.h>

#include <array>
#include <queue>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/quote.hpp"
#include "twistor/text/token_model.hpp"

namespace twistor::text {
namespace {

struct Merge {
  std::int64_t rank = 0;
  std::int64_t id = 0;
};

std::uint64_t pair_key(std::int64_t left, std::int64_t right) {
  return (static_cast<std::uint64_t>(left) << 32) | static_cast<std::uint64_t>(right);
}

using MergeTable = std::unordered_map<std::uint64_t, Merge>;

struct Options {
  std::optional<std::int64_t> unknown_id{};  // for bytes without a symbol; without it they are left out
  bool fuse_unknown = false;                 // one unknown token for a run of them
  bool whole_words_first = false;            // a piece that is a token is not built from merges
};

class ByteBpe final : public TokenModel {
 public:
  ByteBpe(Vocabulary vocabulary, MergeTable merges, Options options)
      : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), options_(options) {
    for (std::size_t byte = 0; byte < 256; ++byte)
      byte_ids_[byte] = vocabulary_.find(symbol_of_byte(static_cast<unsigned char>(byte))).value_or(-1);
  }

  const Vocabulary& vocabulary() const override { return vocabulary_; }

  void encode_piece(std::string_view piece, std::vector<std::int64_t>& out) const override {
    if (options_.whole_words_first)
      if (const auto id = vocabulary_.find(spell_bytes(piece))) return out.push_back(*id);
    std::vector<Symbol> symbols = initial_symbols(piece);
    merge_all(symbols);
    for (std::int64_t i = symbols.empty() ? -1 : 0; i >= 0; i = at(symbols, i).next)
      out.push_back(at(symbols, i).id);
  }

  std::string description() const override {
    return fmt::format("byte-level BPE, {} merges", merges_.size());
  }

 private:
  // A doubly linked list in an array: merging keeps the left symbol and unlinks the right one (id -1).
  struct Symbol {
    std::int64_t id = -1;
    std::int64_t previous = -1;
    std::int64_t next = -1;
  };

  // A possible merge; stale once either symbol has changed.
  struct Candidate {
    std::int64_t rank, left, left_id, right_id, merged_id;
    // Lowest rank first, then leftmost: std::priority_queue puts the largest on top.
    bool operator<(const Candidate& other) const {
      return std::tie(rank, left) > std::tie(other.rank, other.left);
    }
  };

  static Symbol& at(std::vector<Symbol>& symbols, std::int64_t i) {
    return symbols[static_cast<std::size_t>(i)];
  }

  std::vector<Symbol> initial_symbols(std::string_view piece) const {
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    bool last_is_unknown = false;
    for (const char c : piece) {
      std::int64_t id = byte_ids_[static_cast<unsigned char>(c)];
      const bool is_unknown = id < 0;
      if (is_unknown && (!options_.unknown_id || (options_.fuse_unknown && last_is_unknown))) continue;
      last_is_unknown = is_unknown;
      if (is_unknown) id = *options_.unknown_id;
      const auto index = static_cast<std::int64_t>(symbols.size());
      if (index > 0) symbols.back().next = index;
      symbols.push_back({id, index - 1, -1});
    }
    return symbols;
  }

  // O(n log n): every merge removes one symbol and adds at most two candidates.
  void merge_all(std::vector<Symbol>& symbols) const {
    std::priority_queue<Candidate> candidates;
    const auto consider = [&](std::int64_t left) {
      if (left < 0 || at(symbols, left).next < 0) return;
      const std::int64_t left_id = at(symbols, left).id;
      const std::int64_t right_id = at(symbols, at(symbols, left).next).id;
      const auto merge = merges_.find(pair_key(left_id, right_id));
      if (merge != merges_.end())
        candidates.push({merge->second.rank, left, left_id, right_id, merge->second.id});
    };
    for (std::int64_t i = 0; i + 1 < static_cast<std::int64_t>(symbols.size()); ++i) consider(i);
    while (!candidates.empty()) {
      const Candidate best = candidates.top();
      candidates.pop();
      Symbol& left = at(symbols, best.left);
      if (left.id != best.left_id || left.next < 0) continue;
      Symbol& right = at(symbols, left.next);
      if (right.id != best.right_id) continue;
      left.id = best.merged_id;
      left.next = right.next;
      right.id = -1;
      if (left.next >= 0) at(symbols, left.next).previous = best.left;
      consider(left.previous);
      consider(best.left);
    }
  }

  Vocabulary vocabulary_;
  MergeTable merges_;
  Options options_;
  std::array<std::int64_t, 256> byte_ids_{};
};

// Adds a merge of rank `table.size()`; a repeated pair takes the later rank. Returns what is wrong, or "".
std::string add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
                      std::int64_t rank, MergeTable& table) {
  const std::string joined = std::string(left) + std::string(right);
  for (const std::string_view token : {left, right, std::string_view(joined)})
    if (!vocabulary.find(token)) return fmt::format("the token {} is not in the vocabulary", quote(token));
  table[pair_key(*vocabulary.find(left), *vocabulary.find(right))] = {rank, *vocabulary.find(joined)};
  return {};
}

// "left right" into its two halves; nullopt unless there is exactly one space with something on both sides.
std::optional<std::pair<std::string_view, std::string_view>> split_merge(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size()) return std::nullopt;
  if (line.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
  return std::pair(line.substr(0, space), line.substr(space + 1));
}

void refuse_unless_empty(const JsonView& model, std::string_view key) {
  const auto member = model.find(key);
  if (member && !member->string().empty())
    member->fail("is not supported for byte-level BPE; expected null or ''");
}

MergeTable read_merges(const JsonView& list, const Vocabulary& vocabulary) {
  MergeTable table;
  table.reserve(list.array_size());
  for (std::size_t i = 0; i < list.array_size(); ++i) {
    const JsonView item = list.item(i);
    std::optional<std::pair<std::string_view, std::string_view>> halves;
    if (item.is_array()) {
      if (item.array_size() != 2) item.fail(fmt::format("expected two tokens, got {}", item.array_size()));
      halves.emplace(item.item(0).string(), item.item(1).string());
    } else {
      halves = split_merge(item.string());
      if (!halves) item.fail("expected two tokens with one space between them, got " + quote(item.string()));
    }
    const std::string problem =
        add_merge(vocabulary, halves->first, halves->second, static_cast<std::int64_t>(i), table);
    if (!problem.empty()) item.fail(problem);
  }
  return table;
}

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const JsonView& model, PieceForm form) {
  if (form != PieceForm::bytes)
    model.fail("BPE is supported only with ByteLevel at the end of pre_tokenizer");
  refuse_unless_empty(model, "continuing_subword_prefix");
  refuse_unless_empty(model, "end_of_word_suffix");
  if (const auto fallback = model.find("byte_fallback"); fallback && fallback->boolean())
    fallback->fail("is not supported for byte-level BPE; expected false");
  if (const auto dropout = model.find("dropout"); dropout && dropout->number() != 0)
    dropout->fail("random merges are not supported; expected null");
  Vocabulary vocabulary = Vocabulary::from_json(model.at("vocab"));
  MergeTable merges = read_merges(model.at("merges"), vocabulary);
  Options options;
  if (const auto unknown = model.find("unk_token")) options.unknown_id = vocabulary.find(unknown->string());
  if (const auto fuse = model.find("fuse_unk")) options.fuse_unknown = fuse->boolean();
  if (const auto ignore = model.find("ignore_merges")) options.whole_words_first = ignore->boolean();
  return std::make_unique<ByteBpe>(std::move(vocabulary), std::move(merges), options);
}

std::unique_ptr<TokenModel> make_byte_bpe(Vocabulary vocabulary, std::span<const std::string_view> merges,
                                          const std::string& doing, bool whole_words_first) {
  MergeTable table;
  table.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto halves = split_merge(merges[i]);
    TWISTOR_CHECK(halves, ErrorKind::data, doing,
                  fmt::format("merge {}: expected two tokens with one space between them, got {}", i,
                              quote(merges[i])));
    const std::string problem =
        add_merge(vocabulary, halves->first, halves->second, static_cast<std::int64_t>(i), table);
    TWISTOR_CHECK(problem.empty(), ErrorKind::data, doing, fmt::format("merge {}: {}", i, problem));
  }
  return std::make_unique<ByteBpe>(std::move(vocabulary), std::move(table),
                                   Options{.whole_words_first = whole_words_first});
}

}  // namespace twistor::text
