// SPDX-License-Identifier: Apache-2.0
// Regular expressions: one owner for PCRE2's objects, limits on every match.
#include "twistor/text/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <cstdint>

#include "twistor/base/error.hpp"
#include "twistor/base/handle.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/text/unicode.hpp"

namespace twistor::text {
namespace {

// Far above what any sensible pattern needs, far below what a person would wait for.
constexpr std::uint32_t most_steps = 10'000'000;
constexpr std::uint32_t most_memory_kib = 256 * 1024;

struct CodeTraits {
  using type = pcre2_code*;
  static type null() { return nullptr; }
  static void close(type code) noexcept { pcre2_code_free(code); }
};
struct MatchDataTraits {
  using type = pcre2_match_data*;
  static type null() { return nullptr; }
  static void close(type data) noexcept { pcre2_match_data_free(data); }
};
struct MatchContextTraits {
  using type = pcre2_match_context*;
  static type null() { return nullptr; }
  static void close(type context) noexcept { pcre2_match_context_free(context); }
};

// What a thread needs for any match at all: only the extent of the whole match is asked for.
struct Scratch {
  Scratch() : data(pcre2_match_data_create(1, nullptr)), context(pcre2_match_context_create(nullptr)) {
    TWISTOR_ASSERT(data && context, "no memory for a match");
    pcre2_set_match_limit(context.get(), most_steps);
    pcre2_set_heap_limit(context.get(), most_memory_kib);
  }
  UniqueHandle<MatchDataTraits> data;
  UniqueHandle<MatchContextTraits> context;
};

Scratch& scratch() {
  thread_local Scratch own;
  return own;
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  const int size = pcre2_get_error_message(code, buffer.data(), buffer.size());
  if (size < 0) return fmt::format("error {}", code);
  return {reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(size)};
}

PCRE2_SPTR units(std::string_view text) {
  static constexpr PCRE2_UCHAR nothing = 0;  // PCRE2 wants a pointer even to an empty text
  return text.data() == nullptr ? &nothing : reinterpret_cast<PCRE2_SPTR>(text.data());
}

}  // namespace

struct Regex::Program {
  std::string pattern;
  UniqueHandle<CodeTraits> code;
};

Regex::Regex(std::string_view pattern, const std::string& doing, RegexOptions options) {
  std::uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF;
  flags |= PCRE2_NEVER_BACKSLASH_C;  // \C could end a match inside a code point
  if (options.ignore_case) flags |= PCRE2_CASELESS;
  if (options.is_multiline) flags |= PCRE2_MULTILINE;
  int problem = 0;
  PCRE2_SIZE place = 0;
  UniqueHandle<CodeTraits> code(
      pcre2_compile(units(pattern), pattern.size(), flags, &problem, &place, nullptr));
  TWISTOR_CHECK(code, ErrorKind::data, doing,
                fmt::format("the regular expression {} is wrong at byte {}: {}", format::quote(pattern),
                            place, message_of(problem)),
                "the syntax is Perl's, as in PCRE2");
  // Without a compiler for this machine the interpreter does the same, slower.
  (void)pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  program_ = std::make_shared<const Program>(Program{std::string(pattern), std::move(code)});
}

std::optional<Regex::Match> Regex::search(std::string_view text, std::size_t from) const {
  TWISTOR_ASSERT(from <= text.size(), "a search begins after the end of the text");
  const Scratch& own = scratch();
  const auto match = [&](std::uint32_t flags) {
    return pcre2_match(program_->code.get(), units(text), text.size(), from, flags, own.data.get(),
                       own.context.get());
  };
  int found = match(0);
  // Compiled code has a small stack; the interpreter takes memory from the heap, up to the limit.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  // 0: there are groups, and no room was made for them.
  TWISTOR_CHECK(found >= 0, ErrorKind::data, "matching a regular expression",
                fmt::format("{} gave up on a text of {} bytes: {}", format::quote(program_->pattern),
                            text.size(), message_of(found)),
                "nested repetitions such as (a+)+ take exponential time; make the pattern simpler");
  const PCRE2_SIZE* extent = pcre2_get_ovector_pointer(own.data.get());
  // \K inside a lookahead can put the beginning after the end.
  TWISTOR_CHECK(extent[0] <= extent[1], ErrorKind::data, "matching a regular expression",
                fmt::format("a match of {} ends before it begins", format::quote(program_->pattern)),
                "use no \\K inside a lookahead");
  return Match{extent[0], extent[1]};
}

std::vector<Regex::Match> Regex::find_all(std::string_view text) const {
  std::vector<Match> out;
  for (std::size_t from = 0; from <= text.size();) {
    const auto match = search(text, from);
    if (!match) break;
    if (match->begin == match->end && !out.empty() && out.back().end == match->end) {
      from += from < text.size() ? next_code_point(text, from).size : 1;
      continue;
    }
    out.push_back(*match);
    from = match->end;
  }
  return out;
}

std::string Regex::replace_all(std::string_view text, std::string_view replacement) const {
  std::string out;
  std::size_t done = 0;
  for (const Match& match : find_all(text)) {
    out += text.substr(done, match.begin - done);
    out += replacement;
    done = match.end;
  }
  return out += text.substr(done);
}

const std::string& Regex::pattern() const {
  return program_->pattern;
}

}  // namespace twistor::text
