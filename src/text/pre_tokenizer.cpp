// The scanners, and the kinds of tokenizer.json that they stand for.
#include "twistor/text/pre_tokenizer.hpp"

#include <fmt/format.h>

#include <array>

#include "twistor/base/error.hpp"
#include "twistor/text/byte_symbols.hpp"
#include "twistor/text/quote.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

using Pieces = std::vector<std::string_view>;

constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view supported_kinds =
    "ByteLevel, Digits, Sequence, Split, Whitespace, WhitespaceSplit";

// Patterns of Split that a scanner stands for; a new one is a line here and a scanner below.
struct KnownPattern {
  std::string_view regex;
  CutStep step;
};
constexpr std::array known_patterns{KnownPattern{gpt2_pattern, CutStep::gpt2},
                                    KnownPattern{R"(\p{N})", CutStep::each_digit},
                                    KnownPattern{R"(\p{N}+)", CutStep::digit_runs}};

std::size_t skip_class(std::string_view text, std::size_t at, CharClass wanted) {
  while (at < text.size()) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) != wanted) break;
    at += point.size;
  }
  return at;
}

// 's 't 're 've 'm 'll 'd, lower case only.
std::size_t contraction_bytes(std::string_view text) {
  for (const std::string_view tail : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(tail)) return tail.size();
  return 0;
}

std::size_t gpt2_piece_end(std::string_view text, std::size_t at) {
  if (const std::size_t size = contraction_bytes(text.substr(at)); size > 0) return at + size;
  const bool is_spaced = text[at] == ' ' && at + 1 < text.size();
  const std::size_t core = is_spaced ? at + 1 : at;
  const CharClass core_class = char_class(next_code_point(text, core));
  if (core_class != CharClass::space) return skip_class(text, core, core_class);
  // A run of white space leaves its last code point to what follows it, unless it is alone or ends the text.
  std::size_t end = at;
  std::size_t last = at;
  while (end < text.size()) {
    const CodePoint point = next_code_point(text, end);
    if (char_class(point) != CharClass::space) break;
    last = end;
    end += point.size;
  }
  return end == text.size() || last == at ? end : last;
}

void cut_gpt2(std::string_view text, Pieces& out) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = gpt2_piece_end(text, at);
    out.push_back(text.substr(at, end - at));
    at = end;
  }
}

void cut_digits(std::string_view text, bool each, Pieces& out) {
  std::size_t begin = 0;
  const auto flush = [&](std::size_t end) {
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (char_class(point) == CharClass::number) {
      flush(at);
      at = each ? at + point.size : skip_class(text, at, CharClass::number);
      flush(at);
    } else {
      at += point.size;
    }
  }
  flush(text.size());
}

// Runs of equal kind, where kind(point) < 0 means removed.
template <class Kind>
void cut_runs(std::string_view text, Kind kind, Pieces& out) {
  std::size_t begin = 0;
  int current = -1;
  for (std::size_t at = 0; at <= text.size();) {
    const CodePoint point = at < text.size() ? next_code_point(text, at) : CodePoint{};
    const int next = at < text.size() ? kind(point) : -1;
    if (next != current) {
      if (current >= 0) out.push_back(text.substr(begin, at - begin));
      begin = at;
      current = next;
    }
    at += point.size;
  }
}

void cut(CutStep step, std::string_view text, Pieces& out, std::deque<std::string>& storage) {
  const auto space_or = [](CodePoint point, int kind) {
    return char_class(point) == CharClass::space ? -1 : kind;
  };
  switch (step) {
    case CutStep::gpt2:
      return cut_gpt2(text, out);
    case CutStep::each_digit:
      return cut_digits(text, true, out);
    case CutStep::digit_runs:
      return cut_digits(text, false, out);
    case CutStep::words:
      return cut_runs(
          text, [&](CodePoint p) { return is_word_char(p) ? 1 : space_or(p, 0); }, out);
    case CutStep::white_space:
      return cut_runs(
          text, [&](CodePoint p) { return space_or(p, 0); }, out);
    case CutStep::add_prefix_space:
      return out.push_back(text.starts_with(' ') ? text : storage.emplace_back(" " + std::string(text)));
    case CutStep::byte_symbols:
      return out.push_back(storage.emplace_back(spell_bytes(text)));
  }
}

CutStep step_of_split(const JsonView& json) {
  const JsonView pattern = json.at("pattern").at("Regex");
  const std::string& behavior = json.at("behavior").string();
  const bool invert = json.find("invert") ? json.at("invert").boolean() : false;
  // Both spellings keep every piece when the pattern covers the whole text; the digit patterns do not.
  for (const KnownPattern& known : known_patterns)
    if (known.regex == pattern.string()) {
      const bool keeps_all = behavior == "Isolated" && !invert;
      const bool keeps_matches = behavior == "Removed" && invert && known.step == CutStep::gpt2;
      if (!keeps_all && !keeps_matches)
        json.fail(fmt::format("expected the behavior 'Isolated', got {}{}", quote(behavior),
                              invert ? ", inverted" : ""));
      return known.step;
    }
  std::string list;
  for (const KnownPattern& known : known_patterns)
    list += (list.empty() ? "" : "   ") + std::string(known.regex);
  pattern.fail("the pattern " + quote(pattern.string()) + " is not supported", "supported patterns: " + list);
}

void append_steps(const JsonView& json, std::vector<CutStep>& steps) {
  const std::string& type = json.at("type").string();
  if (type == "Sequence") {
    const JsonView list = json.at("pretokenizers");
    for (std::size_t i = 0; i < list.array_size(); ++i) append_steps(list.item(i), steps);
  } else if (type == "ByteLevel") {
    if (json.at("add_prefix_space").boolean()) steps.push_back(CutStep::add_prefix_space);
    if (!json.find("use_regex") || json.at("use_regex").boolean()) steps.push_back(CutStep::gpt2);
    steps.push_back(CutStep::byte_symbols);
  } else if (type == "Digits") {
    steps.push_back(json.at("individual_digits").boolean() ? CutStep::each_digit : CutStep::digit_runs);
  } else if (type == "Split") {
    steps.push_back(step_of_split(json));
  } else if (type == "Whitespace") {
    steps.push_back(CutStep::words);
  } else if (type == "WhitespaceSplit") {
    steps.push_back(CutStep::white_space);
  } else {
    json.fail(fmt::format("the pre-tokenizer {} is not supported", quote(type)),
              fmt::format("supported: {}", supported_kinds));
  }
}

}  // namespace

PreTokenizer PreTokenizer::from_json(const JsonView& json) {
  std::vector<CutStep> steps;
  append_steps(json, steps);
  return PreTokenizer(std::move(steps));
}

bool PreTokenizer::release_byte_symbols() {
  if (steps_.empty() || steps_.back() != CutStep::byte_symbols) return false;
  steps_.pop_back();
  return true;
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text,
                                                  std::deque<std::string>& storage) const {
  Pieces pieces;
  if (!text.empty()) pieces.push_back(text);
  Pieces next;
  for (const CutStep step : steps_) {
    next.clear();
    for (const std::string_view piece : pieces) cut(step, piece, next, storage);
    pieces.swap(next);
  }
  return pieces;
}

}  // namespace twistor::text
