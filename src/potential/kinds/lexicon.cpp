// SPDX-License-Identifier: Apache-2.0
// The lexicon potential and the reader of its files.
#include "lexicon.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "twistor/base/error.hpp"
#include "twistor/base/mapped_file.hpp"
#include "twistor/base/strings.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/unicode.hpp"
#include "twistor/text/unicode_forms.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_lexicon = "making the potential 'lexicon'";

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (!point.is_valid) return false;
    at += point.size;
  }
  return true;
}

/// The part of a word between the punctuation at its ends.
std::string_view without_punctuation(std::string_view word) {
  std::size_t begin = word.size(), end = 0;
  for (std::size_t at = 0; at < word.size();) {
    const CodePoint point = next_code_point(word, at);
    if (!text::is_punctuation(point)) {
      begin = std::min(begin, at);
      end = at + point.size;
    }
    at += point.size;
  }
  return begin < end ? word.substr(begin, end - begin) : std::string_view{};
}

double parse_valence(std::string_view text, const std::string& doing) {
  double value = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  TWISTOR_CHECK(status == std::errc{} && stop == text.data() + text.size() && std::isfinite(value),
                ErrorKind::data, doing,
                fmt::format("the valence is {} (expected a finite number)", format::quote(text)));
  return value;
}

}  // namespace

Lexicon parse_lexicon(std::string_view file, const std::string& doing) {
  Lexicon lexicon;
  for (std::int64_t number = 1; !file.empty(); ++number) {
    std::string_view line = take_line(file);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const std::string place = fmt::format("{}, line {}", doing, number);
    const std::size_t tab = line.find('\t');
    const std::string_view token = line.substr(0, tab);
    TWISTOR_CHECK(tab != std::string_view::npos && !token.empty() && is_utf8(token), ErrorKind::data, place,
                  fmt::format("expected a token in UTF-8, a TAB and a valence, got {}", format::quote(line)));
    const std::string_view rest = line.substr(tab + 1);
    lexicon.insert_or_assign(std::string(token), parse_valence(rest.substr(0, rest.find('\t')), place));
  }
  return lexicon;
}

LexiconScorer::LexiconScorer(Lexicon lexicon, Options options)
    : lexicon_(std::move(lexicon)), options_(options), bound_(0) {
  TWISTOR_CHECK(!lexicon_.empty(), ErrorKind::config, making_lexicon, "the lexicon has no entries",
                "target.lexicon names a file of lines 'token TAB valence'");
  TWISTOR_CHECK(options.beta > 0, ErrorKind::config, making_lexicon,
                fmt::format("target.beta is {} (expected a positive number)", options.beta));
  TWISTOR_CHECK(options.cap > -std::numeric_limits<double>::infinity(), ErrorKind::config, making_lexicon,
                fmt::format("target.cap is {} (expected a finite number or inf)", options.cap));
  double highest = 0;  // of a text without words
  for (const auto& [token, valence] : lexicon_)
    highest =
        options.mode == LexiconMode::distinct ? highest + std::max(valence, 0.0) : std::max(highest, valence);
  if (options.mode == LexiconMode::bag && highest > 0) highest = std::numeric_limits<double>::infinity();
  bound_ = options.beta * std::min(highest, options.cap);
}

const Lexicon::value_type* LexiconScorer::entry_of(std::string_view word) const {
  for (const std::string_view form : {word, without_punctuation(word)}) {
    if (form.empty()) continue;
    auto found = lexicon_.find(form);
    if (found == lexicon_.end()) {
      std::string lower(form);
      text::to_lower_case(lower);
      found = lexicon_.find(lower);
    }
    if (found != lexicon_.end()) return &*found;
  }
  return nullptr;
}

double LexiconScorer::valence_of_text(std::string_view text) const {
  double sum = 0;
  std::int64_t n_words = 0;
  std::size_t begin = 0;
  std::set<std::string_view> seen;  // where each entry counts once
  const auto end_word = [&](std::size_t end) {
    if (end == begin) return;
    ++n_words;
    const Lexicon::value_type* entry = entry_of(text.substr(begin, end - begin));
    if (entry == nullptr) return;
    if (options_.mode == LexiconMode::distinct && !seen.insert(entry->first).second) return;
    sum += entry->second;
  };
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text, at);
    if (text::char_class(point) == text::CharClass::space) {
      end_word(at);
      begin = at + point.size;
    }
    at += point.size;
  }
  end_word(text.size());
  const bool is_mean = options_.mode == LexiconMode::mean && n_words > 0;
  return std::min(is_mean ? sum / static_cast<double>(n_words) : sum, options_.cap);
}

std::vector<double> LexiconScorer::log_phi(std::span<const std::string> texts) const {
  std::vector<double> result;
  result.reserve(texts.size());
  for (const std::string& text : texts) result.push_back(options_.beta * valence_of_text(text));
  return result;
}

std::string LexiconScorer::description() const {
  constexpr const char* how[] = {"added up", "added up once each", "averaged"};
  return fmt::format("lexicon: valences of words {} ({} entries)", how[static_cast<int>(options_.mode)],
                     lexicon_.size());
}

std::unique_ptr<TextScorer> make_lexicon(const PotentialOptions& options, const TargetContext&) {
  TWISTOR_CHECK(!options.lexicon.empty(), ErrorKind::config, making_lexicon, "there is no lexicon",
                "set target.lexicon; launch/get_model.sh vader fetches one");
  const auto mode = from_name<LexiconMode>(options.mode, "target.mode", making_lexicon);
  const MappedFile file(options.lexicon);
  const std::string_view contents(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  return std::make_unique<LexiconScorer>(parse_lexicon(contents, "reading the lexicon " + options.lexicon),
                                         LexiconScorer::Options{mode, options.beta, options.cap});
}

}  // namespace twistor::potential
