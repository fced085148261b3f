// SPDX-License-Identifier: Apache-2.0
// From Oniguruma's default syntax, in which tokenizer.json spells its patterns, to PCRE2's.
#include <algorithm>

#include "scanners.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text {
namespace {

// What \w means there: more than PCRE2's, and, outside a class, six fractions and superscripts besides.
constexpr std::string_view word_members = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view word_class = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe)";
constexpr std::string_view hex_class = "0-9a-fA-F";

bool compiles(const std::string& pattern) {
  try {
    const Regex probe(pattern);
    return true;
  } catch (const Error&) {
    return false;
  }
}

class Translator {
 public:
  explicit Translator(std::string_view in) : in_(in) {}

  std::string run() {
    while (at_ < in_.size() && is_sayable_) {
      if (in_[at_] == '\\')
        escape();
      else if (in_class_)
        in_class();
      else
        outside();
    }
    return is_sayable_ ? out_ : std::string();
  }

 private:
  bool ahead(std::string_view text) const { return in_.substr(at_).starts_with(text); }

  void copy(std::size_t n_bytes) {
    out_ += in_.substr(at_, n_bytes);
    at_ += n_bytes;
  }

  void replace(std::size_t n_bytes, std::string_view text) {
    out_ += text;
    at_ += n_bytes;
  }

  // A class expanded; inside another class its members alone are wanted, and a negated one cannot be said.
  void put_class(std::string_view members, bool is_negated) {
    if (in_class_ && is_negated) is_sayable_ = false;
    replace(2, in_class_ ? std::string(members) : (is_negated ? "[^" : "[") + std::string(members) + "]");
  }

  void put_word_boundary(bool is_negated) {
    const std::string word = "[" + std::string(word_class) + "]";
    const std::string_view after_word = is_negated ? "(?=" : "(?!";
    const std::string_view after_other = is_negated ? "(?!" : "(?=";
    replace(2, "(?:(?<=" + word + ")" + std::string(after_word) + word + ")|(?<!" + word + ")" +
                   std::string(after_other) + word + "))");
  }

  // \p{Name} and its like go as a whole, so that their braces are not taken for an interval's.
  std::size_t escape_size() const {
    const std::size_t least = std::min<std::size_t>(2, in_.size() - at_);
    if (!in_.substr(at_ + least).starts_with('{')) return least;
    const std::size_t end = in_.find('}', at_);
    return end == std::string_view::npos ? least : end + 1 - at_;
  }

  // A script is Script there, Script_Extensions here unless told.
  void property() {
    const std::string_view whole = in_.substr(at_, escape_size());
    const std::size_t name = whole.find_first_not_of("{^", 2);
    if (name < whole.size()) {
      const std::string script = std::string(whole.substr(0, name)) + "sc:" + std::string(whole.substr(name));
      if (whole.size() - name > 3 && compiles(script)) return replace(whole.size(), script);
    }
    copy(whole.size());
  }

  void escape() {
    const char kind = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
    switch (kind) {
      case 's':
        return replace(2, R"(\p{White_Space})");
      case 'S':
        return replace(2, R"(\P{White_Space})");
      case 'w':
      case 'W':
        return put_class(in_class_ ? word_members : word_class, kind == 'W');
      case 'h':
      case 'H':
        return put_class(hex_class, kind == 'H');
      case 'b':
      case 'B':
        return in_class_ ? copy(2) : put_word_boundary(kind == 'B');
      case 'u':
        if (at_ + 6 <= in_.size()) return replace(6, R"(\x{)" + std::string(in_.substr(at_ + 2, 4)) + "}");
        [[fallthrough]];
      case 'p':
      case 'P':
        return property();
      default:
        return copy(escape_size());
    }
  }

  void in_class() {
    constexpr std::string_view punctuation = "[:punct:]";
    if (ahead(punctuation)) return replace(punctuation.size(), R"(\p{P}\p{S})");
    if (ahead("[:")) {
      const std::size_t end = in_.find(":]", at_);
      if (end != std::string_view::npos) return copy(end + 2 - at_);
    }
    // Classes inside classes, and their intersections, are unknown to PCRE2.
    if (in_[at_] == '[' || ahead("&&")) is_sayable_ = false;
    if (in_[at_] == ']') in_class_ = false;
    copy(1);
  }

  void outside() {
    if (in_[at_] == '[') {
      in_class_ = true;
      copy(ahead("[^") ? 2 : 1);
      if (ahead("]")) copy(1);  // the first one stands for itself
      return;
    }
    if (ahead("(*")) is_sayable_ = false;  // a verb of PCRE2's alone
    if (ahead("(?")) check_flags();
    if (ahead("{,")) return replace(2, "{0,");
    // There it repeats the interval; here it would forbid to give back.
    if (ahead("}+")) is_sayable_ = false;
    copy(1);
  }

  // (?m) lets the dot match line ends there and moves ^ and $ here.
  void check_flags() {
    const std::size_t end = in_.find_first_not_of("imsx-", at_ + 2);
    if (end == std::string_view::npos || (in_[end] != ')' && in_[end] != ':')) return;
    if (in_.substr(at_ + 2, end - at_ - 2).find_first_of("ms") != std::string_view::npos) is_sayable_ = false;
  }

  std::string_view in_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  bool is_sayable_ = true;
};

}  // namespace

std::string translate_dialect(std::string_view oniguruma) {
  return Translator(oniguruma).run();
}

Regex read_regex(const format::JsonView& pattern) {
  const std::string translated = translate_dialect(pattern.string());
  if (translated.empty() && !pattern.string().empty())
    pattern.fail("the pattern " + format::quote(pattern.string()) + " is not supported",
                 "classes inside classes, &&, \\W or \\H inside a class, (?m), (?s), }+ and (*VERB) have no "
                 "equal in PCRE2");
  try {
    return Regex(translated, "compiling a pattern", {.is_multiline = true});
  } catch (const Error& error) {
    pattern.fail(error.what());
  }
}

}  // namespace twistor::text
