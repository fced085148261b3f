// SPDX-License-Identifier: Apache-2.0
// Filters of chat templates, by name.
#include "template_builtins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "template_error.hpp"
#include "template_strings.hpp"
#include "template_syntax.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text::chat {
namespace {

using Bound = std::vector<const Value*>;

Value size_of(const Value& x) {
  if (x.is<Undefined>()) return Value(std::int64_t{0});
  if (const auto* text = x.as<std::string>())
    return Value(static_cast<std::int64_t>(characters(*text).size()));
  return Value(static_cast<std::int64_t>(items_of(x).size()));
}

Value integer_of(const Value& x, const Bound& a) {
  if (const auto* text = x.as<std::string>()) {
    const std::string bare = stripped(*text, Sides::both, nullptr);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(bare.data(), bare.data() + bare.size(), value);
    if (error == std::errc() && end == bare.data() + bare.size() && !bare.empty()) return Value(value);
  } else if (x.is_number() && std::abs(x.number()) < 9e18) {
    return Value(static_cast<std::int64_t>(x.number()));
  }
  return a[0] == nullptr ? Value(std::int64_t{0}) : *a[0];
}

/// selectattr, rejectattr, select and reject: the items of x for which a test holds, or does not.
Value chosen(const Value& x, const Arguments& given, bool by_attribute, bool wanted) {
  const std::string_view of = by_attribute ? "selectattr" : "select";
  if (!given.named.empty() || (by_attribute && given.positional.empty()))
    throw TemplateProblem(fmt::format("{} wants {}the name of a test, and what that wants", of,
                                      by_attribute ? "an attribute, " : ""));
  const std::size_t n_before = by_attribute ? 1 : 0;
  const std::string attribute = by_attribute ? text_of(given.positional[0], of) : "";
  Arguments rest;
  std::string test;
  if (given.positional.size() > n_before) {
    test = text_of(given.positional[n_before], of);
    if (!is_test(test))
      throw TemplateProblem(fmt::format("the test {} is not supported", format::quote(test)));
    rest.positional.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(n_before) + 1,
                           given.positional.end());
  }
  List out;
  for (const Value& item : items_of(x)) {
    const Value seen = by_attribute ? attribute_of(item, attribute) : item;
    if ((test.empty() ? seen.is_true() : apply_test(test, seen, rest)) == wanted) out.push_back(item);
  }
  return Value(std::move(out));
}

Value mapped(const Value& x, const Arguments& given) {
  List out;
  if (given.positional.empty()) {
    const Bound a = bind(given, "map", {"attribute", "default"}, 1);
    for (const Value& item : items_of(x)) {
      Value value = attribute_of(item, text_of(*a[0], "map"));
      out.push_back(value.is<Undefined>() && a[1] != nullptr ? *a[1] : std::move(value));
    }
    return Value(std::move(out));
  }
  const std::string& filter = text_of(given.positional[0], "map");
  if (!is_filter(filter))
    throw TemplateProblem(fmt::format("the filter {} is not supported", format::quote(filter)));
  const Arguments rest{{given.positional.begin() + 1, given.positional.end()}, given.named};
  for (const Value& item : items_of(x)) out.push_back(apply_filter(filter, item, rest));
  return Value(std::move(out));
}

Value end_of(const Value& x, bool is_first) {
  List items = items_of(x);
  if (items.empty()) return Value::undefined("the first or last item of nothing");
  return is_first ? items.front() : items.back();
}

Value reversed(const Value& x) {
  List items = items_of(x);
  std::ranges::reverse(items);
  if (!x.is<std::string>()) return Value(std::move(items));
  return joined(items, "", nullptr);
}

struct Filter {
  std::string_view name;
  Value (*apply)(const Value& x, const Arguments& a);
};
constexpr std::array filters{
    Filter{"capitalize",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "capitalize", {});
             return Value(capitalized(printed(x)));
           }},
    Filter{"count",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "count", {});
             return size_of(x);
           }},
    Filter{"default",
           [](const Value& x, const Arguments& a) {
             const Bound b = bind(a, "default", {"default_value", "boolean"});
             const bool takes = x.is<Undefined>() || (b[1] != nullptr && b[1]->is_true() && !x.is_true());
             return !takes ? x : b[0] == nullptr ? Value(std::string()) : *b[0];
           }},
    Filter{"first",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "first", {});
             return end_of(x, true);
           }},
    Filter{"int",
           [](const Value& x, const Arguments& a) { return integer_of(x, bind(a, "int", {"default"})); }},
    Filter{"items",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "items", {});
             return pairs_of(x);
           }},
    Filter{"join",
           [](const Value& x, const Arguments& a) {
             const Bound b = bind(a, "join", {"d", "attribute"});
             return joined(items_of(x), b[0] == nullptr ? "" : printed(*b[0]), b[1]);
           }},
    Filter{"last",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "last", {});
             return end_of(x, false);
           }},
    Filter{"length",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "length", {});
             return size_of(x);
           }},
    Filter{"list",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "list", {});
             return Value(items_of(x));
           }},
    Filter{"lower",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "lower", {});
             return Value(lower(printed(x)));
           }},
    Filter{"map", mapped},
    Filter{"reject", [](const Value& x, const Arguments& a) { return chosen(x, a, false, false); }},
    Filter{"rejectattr", [](const Value& x, const Arguments& a) { return chosen(x, a, true, false); }},
    Filter{"replace",
           [](const Value& x, const Arguments& a) {
             const Bound b = bind(a, "replace", {"old", "new", "count"}, 2);
             return Value(
                 replaced(printed(x), printed(*b[0]), printed(*b[1]), whole_or(b[2], -1, "replace")));
           }},
    Filter{"reverse",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "reverse", {});
             return reversed(x);
           }},
    Filter{"safe",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "safe", {});
             return x;
           }},
    Filter{"select", [](const Value& x, const Arguments& a) { return chosen(x, a, false, true); }},
    Filter{"selectattr", [](const Value& x, const Arguments& a) { return chosen(x, a, true, true); }},
    Filter{"string",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "string", {});
             return Value(printed(x));
           }},
    Filter{"title",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "title", {});
             return Value(titled(printed(x)));
           }},
    Filter{"tojson",
           [](const Value& x, const Arguments& a) {
             const std::int64_t indent = whole_or(bind(a, "tojson", {"indent"})[0], -1, "tojson");
             if (indent > 16) throw TemplateProblem("tojson: indent is above 16");
             return Value(json_of(x, indent));
           }},
    Filter{"trim",
           [](const Value& x, const Arguments& a) {
             return Value(
                 stripped(printed(x), Sides::both, text_or_none(bind(a, "trim", {"chars"})[0], "trim")));
           }},
    Filter{"upper",
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "upper", {});
             return Value(upper(printed(x)));
           }},
};

}  // namespace

bool is_filter(std::string_view name) {
  return name == "d" || entry_of(filters, name) != nullptr;
}
Value apply_filter(std::string_view name, const Value& x, const Arguments& arguments) {
  return entry_of(filters, name == "d" ? "default" : name)->apply(x, arguments);
}

}  // namespace twistor::text::chat
