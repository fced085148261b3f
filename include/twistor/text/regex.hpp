// SPDX-License-Identifier: Apache-2.0
// Regular expressions over UTF-8 (PCRE2's), for patterns that come from files and from users.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace twistor::text {

struct RegexOptions {
  bool ignore_case = false;
  bool is_multiline = false;  ///< ^ and $ match at every line, not only at the ends of the text
};

/// A compiled pattern: Perl's syntax, \w, \d, \s and \b over Unicode. *Local*, immutable, thread-safe; copies
/// share the program. Texts may hold invalid UTF-8: no part of a match is ever an invalid byte. A match that
/// would take more than about ten million steps or 256 MiB is refused with Error(data), so a pattern cannot
/// hang or crash the program.
class Regex {
 public:
  /// Where a match lies: bytes [begin, end) of the text; begin == end for an empty match.
  struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool operator==(const Match&) const = default;
  };

  /// Throws Error(data) with `doing`, saying where in the pattern the mistake is.
  explicit Regex(std::string_view pattern, const std::string& doing = "compiling a regular expression",
                 RegexOptions options = {});

  /// The leftmost match that begins at byte `from` <= text.size() or later; what lies before `from` is seen
  /// by lookbehind. `from` must not lie inside a code point.
  [[nodiscard]] std::optional<Match> search(std::string_view text, std::size_t from = 0) const;
  /// All matches from left to right, without overlap; no empty match touches the end of the one before.
  [[nodiscard]] std::vector<Match> find_all(std::string_view text) const;
  /// The text with every match of find_all() replaced; `replacement` stands for itself ($1 means nothing).
  [[nodiscard]] std::string replace_all(std::string_view text, std::string_view replacement) const;

  [[nodiscard]] const std::string& pattern() const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace twistor::text
