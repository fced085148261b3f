// SPDX-License-Identifier: Apache-2.0
// Matches and what is between them, joined as the behavior says.
#include "split_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/component_kinds.hpp"

namespace twistor::text {
namespace {

struct Span {
  std::size_t begin, end;
  bool is_delimiter;
};
using Spans = std::vector<Span>;

// The whole text as matches and what is between them, alternating as they come.
Spans spans_of(const Matches& matches, std::size_t size, bool invert) {
  Spans out;
  out.reserve(2 * matches.size() + 1);
  std::size_t done = 0;
  for (const Regex::Match& match : matches) {
    if (match.begin > done) out.push_back({done, match.begin, invert});
    out.push_back({match.begin, match.end, !invert});
    done = match.end;
  }
  if (done < size) out.push_back({done, size, invert});
  return out;
}

// Runs of one kind become one; the text begins as if something that is no delimiter stood before it.
void join_runs(Spans& spans) {
  std::size_t n = 0;
  bool previous = false;
  for (const Span& span : spans) {
    if (n > 0 && span.is_delimiter == previous)
      spans[n - 1].end = span.end;
    else
      spans[n++] = span;
    previous = span.is_delimiter;
  }
  spans.resize(n);
}

void join_with_previous(Spans& spans) {
  std::size_t n = 0;
  bool previous = false;
  for (const Span& span : spans) {
    if (n > 0 && span.is_delimiter && !previous)
      spans[n - 1].end = span.end;
    else
      spans[n++] = span;
    previous = span.is_delimiter;
  }
  spans.resize(n);
}

// The same from the end.
void join_with_next(Spans& spans) {
  std::size_t n = spans.size();
  bool previous = false;
  for (std::size_t i = spans.size(); i-- > 0;) {
    const Span span = spans[i];
    if (n < spans.size() && span.is_delimiter && !previous)
      spans[n].begin = span.begin;
    else
      spans[--n] = span;
    previous = span.is_delimiter;
  }
  spans.erase(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(n));
}

struct BehaviorKind {
  std::string_view type;
  SplitBehavior behavior;
};
constexpr std::array behavior_kinds{
    BehaviorKind{"Removed", SplitBehavior::removed},
    BehaviorKind{"Isolated", SplitBehavior::isolated},
    BehaviorKind{"MergedWithPrevious", SplitBehavior::merged_with_previous},
    BehaviorKind{"MergedWithNext", SplitBehavior::merged_with_next},
    BehaviorKind{"Contiguous", SplitBehavior::contiguous},
};

Finder regex_finder(const format::JsonView& pattern, PreTokenizer& out) {
  if (Finder scanner = find_scanner(pattern.string())) return scanner;
  const Regex regex = read_regex(pattern);
  out.note_pattern(pattern.string());
  return [regex](std::string_view text) { return regex.find_all(text); };
}

}  // namespace

SplitBehavior read_behavior(const format::JsonView& json) {
  return find_kind(behavior_kinds, json.string(), "behavior", json).behavior;
}

CutStep split_step(Finder find, SplitBehavior behavior, bool invert) {
  return [find = std::move(find), behavior, invert](std::string_view text, bool, Pieces& out) {
    Spans spans = spans_of(find(text), text.size(), invert);
    if (behavior == SplitBehavior::contiguous) join_runs(spans);
    if (behavior == SplitBehavior::merged_with_previous) join_with_previous(spans);
    if (behavior == SplitBehavior::merged_with_next) join_with_next(spans);
    for (const Span& span : spans)
      if (!span.is_delimiter || behavior != SplitBehavior::removed)
        out.add(text.substr(span.begin, span.end - span.begin));
  };
}

Finder string_finder(std::string wanted) {
  return [wanted = std::move(wanted)](std::string_view text) {
    Matches out;
    for (std::size_t at = text.find(wanted); at != std::string_view::npos;
         at = text.find(wanted, at + wanted.size()))
      out.push_back({at, at + wanted.size()});
    return out;
  };
}

void add_split(const format::JsonView& json, PreTokenizer& out) {
  const format::JsonView pattern = json.at("pattern");
  const SplitBehavior behavior = read_behavior(json.at("behavior"));
  const auto invert = json.find("invert");
  const auto text = pattern.find("String");
  const format::JsonView place = text ? *text : pattern.at("Regex");
  const bool is_plain = text && !text->string().empty();
  out.append(split_step(is_plain ? string_finder(text->string()) : regex_finder(place, out), behavior,
                        invert && invert->boolean()));
}

}  // namespace twistor::text
