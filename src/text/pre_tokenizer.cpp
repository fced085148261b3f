// SPDX-License-Identifier: Apache-2.0
// The kinds of pre-tokenizers that a tokenizer.json names, all but Split.
#include "twistor/text/pre_tokenizer.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "scanners.hpp"
#include "split_step.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/component_kinds.hpp"
#include "twistor/text/replacement.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

bool is_space(CodePoint point) {
  return char_class(point) == CharClass::space;
}

// Matches of single characters.
template <class Predicate>
Finder each(Predicate wanted) {
  return [wanted](std::string_view text) {
    Matches out;
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint point = next_code_point(text, at);
      if (wanted(point)) out.push_back({at, at + point.size});
      at += point.size;
    }
    return out;
  };
}

// Pieces of one kind each; kind(point) < 0 means removed.
template <class Kind>
void cut_runs(std::string_view text, Kind kind, Pieces& out) {
  std::size_t begin = 0;
  int current = -1;
  for (std::size_t at = 0; at <= text.size();) {
    const CodePoint point = at < text.size() ? next_code_point(text, at) : CodePoint{};
    const int next = at < text.size() ? kind(point) : -1;
    if (next != current) {
      if (current >= 0) out.add(text.substr(begin, at - begin));
      begin = at;
      current = next;
    }
    at += point.size;
  }
}

bool flag(const format::JsonView& json, std::string_view key, bool fallback) {
  const auto member = json.find(key);
  return member ? member->boolean() : fallback;
}

// One character, as the only content of a string.
std::string_view character(const format::JsonView& json) {
  const std::string& text = json.string();
  if (text.empty() || next_code_point(text, 0).size != text.size())
    json.fail("expected one character, got " + format::quote(text));
  return text;
}

void add_byte_level(const format::JsonView& json, PreTokenizer& out) {
  if (json.at("add_prefix_space").boolean())
    out.append([](std::string_view piece, bool, Pieces& pieces) {
      if (piece.starts_with(' '))
        pieces.add(piece);
      else
        pieces.add_rewritten(" " + std::string(piece));
    });
  if (flag(json, "use_regex", true)) out.append(split_step(scan_gpt2, SplitBehavior::isolated));
  out.append_byte_symbols();
}

void add_digits(const format::JsonView& json, PreTokenizer& out) {
  const bool is_each = json.at("individual_digits").boolean();
  out.append(
      split_step(each(is_digit_or_number), is_each ? SplitBehavior::isolated : SplitBehavior::contiguous));
}

void add_whitespace(const format::JsonView&, PreTokenizer& out) {
  out.append([](std::string_view piece, bool, Pieces& pieces) {
    cut_runs(
        piece, [](CodePoint point) { return is_word_char(point) ? 1
                                            : is_space(point)   ? -1
                                                                : 0; }, pieces);
  });
}

void add_whitespace_split(const format::JsonView&, PreTokenizer& out) {
  out.append([](std::string_view piece, bool, Pieces& pieces) {
    cut_runs(
        piece, [](CodePoint point) { return is_space(point) ? -1 : 0; }, pieces);
  });
}

void add_punctuation(const format::JsonView& json, PreTokenizer& out) {
  const auto behavior = json.find("behavior");
  out.append(split_step(each(is_punctuation), behavior ? read_behavior(*behavior) : SplitBehavior::isolated));
}

// White space is removed, each punctuation character stands alone.
void add_bert(const format::JsonView&, PreTokenizer& out) {
  out.append([](std::string_view piece, bool, Pieces& pieces) {
    std::size_t begin = 0;
    for (std::size_t at = 0; at < piece.size();) {
      const CodePoint point = next_code_point(piece, at);
      const bool stands_alone = is_punctuation(point);
      if (stands_alone || is_space(point)) {
        pieces.add(piece.substr(begin, at - begin));
        if (stands_alone) pieces.add(piece.substr(at, point.size));
        begin = at + point.size;
      }
      at += point.size;
    }
    pieces.add(piece.substr(begin));
  });
}

void add_delimiter(const format::JsonView& json, PreTokenizer& out) {
  out.append(split_step(string_finder(std::string(character(json.at("delimiter")))), SplitBehavior::removed));
}

void add_fixed_length(const format::JsonView& json, PreTokenizer& out) {
  const auto given = json.find("length");
  const std::int64_t length = given ? given->integer(1) : 5;
  out.append([length](std::string_view piece, bool, Pieces& pieces) {
    std::size_t begin = 0;
    std::int64_t n = 0;
    for (std::size_t at = 0; at < piece.size();) {
      at += next_code_point(piece, at).size;
      if (++n < length && at < piece.size()) continue;
      pieces.add(piece.substr(begin, at - begin));
      begin = at;
      n = 0;
    }
  });
}

enum class Prepend { always, first, never };

Prepend read_prepend(const format::JsonView& json) {
  const auto add = json.find("add_prefix_space");  // older files
  const auto scheme = json.find("prepend_scheme");
  const bool refuses = add && !add->boolean();
  if (!scheme) return refuses ? Prepend::never : Prepend::always;
  const std::string& name = scheme->string();
  if (refuses && name != "never")
    scheme->fail(fmt::format("{} contradicts add_prefix_space = false", format::quote(name)));
  for (const auto& [known, value] : {std::pair{"always", Prepend::always}, std::pair{"first", Prepend::first},
                                     std::pair{"never", Prepend::never}})
    if (name == known) return value;
  scheme->fail("expected 'always', 'first' or 'never', got " + format::quote(name));
}

void add_metaspace(const format::JsonView& json, PreTokenizer& out) {
  const auto given = json.find("replacement");
  const std::string mark(given ? character(*given) : "\u2581");
  const Prepend prepend = read_prepend(json);
  out.append([mark, prepend](std::string_view piece, bool is_first, Pieces& pieces) {
    std::string marked(piece);
    replace_all(marked, " ", mark);
    const bool wants = prepend == Prepend::always || (prepend == Prepend::first && is_first);
    if (wants && !marked.starts_with(mark)) marked.insert(0, mark);
    pieces.add_rewritten(std::move(marked));
  });
  if (flag(json, "split", true)) out.append(split_step(string_finder(mark), SplitBehavior::merged_with_next));
}

// Whether the first piece after a step begins where the one before it did, and not behind something removed.
// A step that rewrites removes nothing.
bool begins_alike(std::string_view before, std::string_view after) {
  const std::less<> less;
  const bool is_inside =
      !less(after.data(), before.data()) && less(after.data(), before.data() + before.size());
  return !is_inside || after.data() == before.data();
}

void append_kind(const format::JsonView& json, PreTokenizer& out);

void add_sequence(const format::JsonView& json, PreTokenizer& out) {
  const format::JsonView list = json.at("pretokenizers");
  for (std::size_t i = 0; i < list.array_size(); ++i) append_kind(list.item(i), out);
}

// The registry: a new kind is one function and one line here.
constexpr std::array pre_tokenizer_kinds{
    PreTokenizerKind{"BertPreTokenizer", add_bert},
    PreTokenizerKind{"ByteLevel", add_byte_level},
    PreTokenizerKind{"CharDelimiterSplit", add_delimiter},
    PreTokenizerKind{"Digits", add_digits},
    PreTokenizerKind{"FixedLength", add_fixed_length},
    PreTokenizerKind{"Metaspace", add_metaspace},
    PreTokenizerKind{"Punctuation", add_punctuation},
    PreTokenizerKind{"Sequence", add_sequence},
    PreTokenizerKind{"Split", add_split},
    PreTokenizerKind{"Whitespace", add_whitespace},
    PreTokenizerKind{"WhitespaceSplit", add_whitespace_split},
};

void append_kind(const format::JsonView& json, PreTokenizer& out) {
  find_kind(pre_tokenizer_kinds, json.at("type").string(), "pre-tokenizer", json).append(json, out);
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const format::JsonView& json) {
  PreTokenizer out;
  append_kind(json, out);
  return out;
}

PreTokenizer PreTokenizer::from_text(std::string_view json) {
  const std::string doing = "making a pre-tokenizer";
  const nlohmann::json document = format::parse_json(json, doing);
  return from_json(format::JsonView(document, doing));
}

PreTokenizer PreTokenizer::gpt2(bool add_prefix_space) {
  return from_text(fmt::format(R"({{"type": "ByteLevel", "add_prefix_space": {}}})", add_prefix_space));
}

void PreTokenizer::append_byte_symbols() {
  steps_.push_back(
      {[](std::string_view piece, bool, Pieces& out) { out.add_rewritten(spell_bytes(piece)); }, true});
}

void PreTokenizer::note_pattern(std::string_view pattern) {
  notes_ += fmt::format("{}pattern {} by PCRE2", notes_.empty() ? "" : ", ", format::quote(pattern));
}

bool PreTokenizer::release_byte_symbols() {
  if (steps_.empty() || !steps_.back().spells_bytes) return false;
  steps_.pop_back();
  return true;
}

void PreTokenizer::split(std::string_view text, bool is_first, Pieces& out) const {
  out.list.clear();
  out.add(text);
  std::vector<std::string_view> before;
  for (const Step& step : steps_) {
    before.swap(out.list);
    out.list.clear();
    for (std::size_t i = 0; i < before.size(); ++i) step.cut(before[i], is_first && i == 0, out);
    is_first = is_first && !out.list.empty() && begins_alike(before.front(), out.list.front());
    std::size_t n_bytes = 0;
    for (const std::string_view piece : out.list) n_bytes += piece.size();
    check_growth(text.size(), n_bytes);
  }
}

}  // namespace twistor::text
