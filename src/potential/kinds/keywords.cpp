// SPDX-License-Identifier: Apache-2.0
// Sets of words in texts.
#include "keywords.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/utf8.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_keywords = "making the potential 'keywords'";

std::string list_of(const std::vector<std::string>& words) {
  return words.empty() ? std::string("nothing") : fmt::format("{}", fmt::join(words, ", "));
}

/// The border of a word: no letter behind it or, where it ends in something else, none there either.
/// Automata over bytes take what lies beyond ASCII for letters.
const char* border(char outermost) {
  const auto byte = static_cast<unsigned char>(outermost);
  return byte >= 128 || text::is_word_char({.value = byte}) ? "\\b" : "\\B";
}

/// A pattern that matches where one of the words occurs as a whole.
std::string pattern_of(const std::vector<std::string>& words) {
  constexpr std::string_view special = "\\^$.|?*+()[]{}-";
  std::string out;
  for (const std::string& word : words) {
    out += out.empty() ? "" : "|";
    out += border(word.front());
    for (const char c : word) {
      if (special.find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
    out += border(word.back());
  }
  return out;
}

}  // namespace

bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t begin = text.find(word); begin != std::string::npos; begin = text.find(word, begin + 1)) {
    const std::size_t end = begin + word.size();
    const bool free_left = begin == 0 || !text::is_word_char(last_code_point(text, begin));
    const bool free_right = end == text.size() || !text::is_word_char(next_code_point(text, end));
    if (free_left && free_right) return true;
  }
  return false;
}

KeywordsScorer::KeywordsScorer(Keywords keywords, double log_floor)
    : keywords_(std::move(keywords)), log_floor_(log_floor) {
  const auto& [all, any, none] = keywords_;
  TWISTOR_CHECK(!all.empty() || !any.empty() || !none.empty(), ErrorKind::config, making_keywords,
                "there are no words", "set target.all_of, target.any_of or target.none_of");
  for (const std::string& word : none)
    TWISTOR_CHECK(std::ranges::find(all, word) == all.end(), ErrorKind::config, making_keywords,
                  fmt::format("'{}' is in target.all_of and in target.none_of", word), "keep one of the two");
  TWISTOR_CHECK(log_floor <= 0, ErrorKind::config, making_keywords,
                fmt::format("target.log_floor is {} (expected at most 0; -inf is allowed)", log_floor));
}

std::vector<double> KeywordsScorer::log_phi(std::span<const std::string> texts) const {
  std::vector<double> result;
  for (const std::string& text : texts) {
    const auto is_there = [&](const std::string& word) { return has_word(text, word); };
    const bool is_fine = std::ranges::all_of(keywords_.all_of, is_there) &&
                         (keywords_.any_of.empty() || std::ranges::any_of(keywords_.any_of, is_there)) &&
                         std::ranges::none_of(keywords_.none_of, is_there);
    result.push_back(is_fine ? 0 : log_floor_);
  }
  return result;
}

std::string KeywordsScorer::description() const {
  return fmt::format("keywords: 1 if all of ({}), any of ({}) and none of ({}) occur, else exp({})",
                     list_of(keywords_.all_of), list_of(keywords_.any_of), list_of(keywords_.none_of),
                     log_floor_);
}

std::optional<TextAutomaton> KeywordsScorer::automaton() const {
  constexpr const char* doing = "making an automaton of target.all_of, any_of and none_of";
  std::vector<text::ByteAutomaton> parts;
  const auto add = [&](const std::vector<std::string>& words) {
    parts.push_back(text::ByteAutomaton::of_pattern(pattern_of(words), doing));
  };
  for (const std::string& word : keywords_.all_of) add({word});
  if (!keywords_.any_of.empty()) add(keywords_.any_of);
  const std::size_t n_wanted = parts.size();
  if (!keywords_.none_of.empty()) add(keywords_.none_of);
  const auto decides = [&](const std::vector<bool>& is_there) {
    const auto forbidden = is_there.begin() + static_cast<std::ptrdiff_t>(n_wanted);
    return std::all_of(is_there.begin(), forbidden, std::identity()) &&
           std::none_of(forbidden, is_there.end(), std::identity());
  };
  return TextAutomaton{text::ByteAutomaton::combined(parts, decides, doing), log_floor_};
}

std::unique_ptr<TextScorer> make_keywords(const PotentialOptions& options, const TargetContext&) {
  TWISTOR_CHECK(options.beta > 0, ErrorKind::config, making_keywords,
                fmt::format("target.beta is {} (expected a positive number)", options.beta));
  return std::make_unique<KeywordsScorer>(
      Keywords{words_of(options.all_of), words_of(options.any_of), words_of(options.none_of)},
      options.beta * options.log_floor);
}

}  // namespace twistor::potential
