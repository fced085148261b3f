// SPDX-License-Identifier: Apache-2.0
// Arithmetic and comparisons of chat templates, as Python has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "template_builtins.hpp"
#include "template_error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text::chat {
namespace {

std::int64_t in_range(double value) {
  if (!(std::abs(value) < 9e18)) throw TemplateProblem("an integer is too large");
  return static_cast<std::int64_t>(value);
}

/// Python's text * n.
Value repeated(const std::string& text, std::int64_t n) {
  if (n > 0 && text.size() > most_template_bytes / static_cast<std::size_t>(n))
    throw TemplateProblem("a string is too long");
  std::string out;
  for (std::int64_t i = 0; i < n && !text.empty(); ++i) out += text;
  return Value(std::move(out));
}

}  // namespace

std::string defined_name(const Value& value) {
  const auto* missing = value.as<Undefined>();
  return missing != nullptr ? missing->what + " is undefined" : kind_of(value);
}

Value calculate(const std::string& sign, const Value& a, const Value& b) {
  const auto *x = a.as<std::string>(), *y = b.as<std::string>();
  if (sign == "+" && x != nullptr && y != nullptr) {
    if (x->size() + y->size() > most_template_bytes) throw TemplateProblem("a string is too long");
    return Value(*x + *y);
  }
  if (sign == "*" && x != nullptr && b.is<std::int64_t>()) return repeated(*x, *b.as<std::int64_t>());
  if (sign == "+" && a.list() != nullptr && b.list() != nullptr) {
    List both = *a.list();
    both.insert(both.end(), b.list()->begin(), b.list()->end());
    return Value(std::move(both));
  }
  if (!a.is_number() || !b.is_number())
    throw TemplateProblem(fmt::format("{} of {} and {} is not supported", format::quote(sign),
                                      defined_name(a), defined_name(b)));
  const bool is_whole = !a.is<double>() && !b.is<double>();
  const double l = a.number(), r = b.number();
  const bool divides = sign == "/" || sign == "//" || sign == "%";
  if (divides && r == 0) throw TemplateProblem("a division by 0");
  const double value = sign == "+"    ? l + r
                       : sign == "-"  ? l - r
                       : sign == "*"  ? l * r
                       : sign == "/"  ? l / r
                       : sign == "//" ? std::floor(l / r)
                                      : l - r * std::floor(l / r);
  if (is_whole && sign != "/") {
    constexpr double exact = 9007199254740992.0;  // beyond, double has not all integers
    if (std::abs(value) > exact || std::abs(l) > exact || std::abs(r) > exact)
      throw TemplateProblem("an integer is too large");
    return Value(in_range(value));
  }
  return Value(Value::Storage(value));
}

bool holds(const std::string& sign, const Value& a, const Value& b) {
  if (sign == "==") return equal(a, b);
  if (sign == "!=") return !equal(a, b);
  if (sign == "in") return contains(b, a);
  if (sign == "not in") return !contains(b, a);
  if (sign == "<") return less(a, b);
  if (sign == ">") return less(b, a);
  return sign == "<=" ? !less(b, a) : !less(a, b);
}

}  // namespace twistor::text::chat
