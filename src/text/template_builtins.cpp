// SPDX-License-Identifier: Apache-2.0
// Tests, methods and functions of chat templates, by name.
#include "template_builtins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "template_error.hpp"
#include "template_strings.hpp"
#include "template_syntax.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::text::chat {
namespace {

Value list_of(const std::vector<std::string>& texts) {
  List out;
  for (const std::string& text : texts) out.emplace_back(text);
  return Value(std::move(out));
}
bool is_iterable(const Value& x) {
  return x.is<std::string>() || x.list() != nullptr || x.is<std::shared_ptr<const Dict>>() ||
         x.is<Undefined>();
}
std::int64_t remainder(const Value& x, std::int64_t of) {
  const auto* whole = x.as<std::int64_t>();
  if (whole == nullptr || of == 0)
    throw TemplateProblem(fmt::format("a remainder is asked for, of {}", kind_of(x)));
  return *whole % of;
}

struct Test {
  std::string_view name;
  std::size_t n_arguments;
  bool (*holds)(const Value& x, const Value& y);
};
constexpr std::array tests{
    Test{"boolean", 0, [](const Value& x, const Value&) { return x.is<bool>(); }},
    Test{"callable", 0, [](const Value& x, const Value&) { return x.is<Function>(); }},
    Test{"defined", 0, [](const Value& x, const Value&) { return !x.is<Undefined>(); }},
    Test{"divisibleby", 1,
         [](const Value& x, const Value& y) { return remainder(x, whole_or(&y, 0, "divisibleby")) == 0; }},
    Test{"eq", 1, equal},
    Test{"equalto", 1, equal},
    Test{"even", 0, [](const Value& x, const Value&) { return remainder(x, 2) == 0; }},
    Test{"false", 0, [](const Value& x, const Value&) { return x.is<bool>() && !x.is_true(); }},
    Test{"float", 0, [](const Value& x, const Value&) { return x.is<double>(); }},
    Test{"ge", 1, [](const Value& x, const Value& y) { return !less(x, y); }},
    Test{"gt", 1, [](const Value& x, const Value& y) { return less(y, x); }},
    Test{"in", 1, [](const Value& x, const Value& y) { return contains(y, x); }},
    Test{"integer", 0, [](const Value& x, const Value&) { return x.is<std::int64_t>(); }},
    Test{"iterable", 0, [](const Value& x, const Value&) { return is_iterable(x); }},
    Test{"le", 1, [](const Value& x, const Value& y) { return !less(y, x); }},
    Test{"lt", 1, [](const Value& x, const Value& y) { return less(x, y); }},
    Test{"mapping", 0, [](const Value& x, const Value&) { return x.is<std::shared_ptr<const Dict>>(); }},
    Test{"ne", 1, [](const Value& x, const Value& y) { return !equal(x, y); }},
    Test{"none", 0, [](const Value& x, const Value&) { return x.is<None>(); }},
    Test{"number", 0, [](const Value& x, const Value&) { return x.is_number(); }},
    Test{"odd", 0, [](const Value& x, const Value&) { return remainder(x, 2) != 0; }},
    Test{"sequence", 0, [](const Value& x, const Value&) { return is_iterable(x); }},
    Test{"string", 0, [](const Value& x, const Value&) { return x.is<std::string>(); }},
    Test{"true", 0, [](const Value& x, const Value&) { return x.is<bool>() && x.is_true(); }},
    Test{"undefined", 0, [](const Value& x, const Value&) { return x.is<Undefined>(); }},
};

bool begins_or_ends(const std::string& text, const Value& part, bool begins) {
  if (const List* several = part.list())
    return std::ranges::any_of(*several, [&](const Value& one) { return begins_or_ends(text, one, begins); });
  const std::string& wanted = text_of(part, begins ? "startswith" : "endswith");
  return begins ? text.starts_with(wanted) : text.ends_with(wanted);
}

Value strip_method(const Value& x, const Arguments& a, Sides sides) {
  return Value(stripped(text_of(x, "strip"), sides, text_or_none(bind(a, "strip", {"chars"})[0], "strip")));
}

Value members_of(const Value& x, bool keys) {
  List out;
  for (const auto& [key, value] : *x.dict()) out.push_back(keys ? Value(key) : value);
  return Value(std::move(out));
}

struct Method {
  std::string_view name;
  bool is_of_dict;  ///< else of strings
  Value (*call)(const Value& x, const Arguments& a);
};
constexpr std::array methods{
    Method{"capitalize", false,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "capitalize", {});
             return Value(capitalized(text_of(x, "")));
           }},
    Method{"endswith", false,
           [](const Value& x, const Arguments& a) {
             return Value(begins_or_ends(text_of(x, ""), *bind(a, "endswith", {"suffix"}, 1)[0], false));
           }},
    Method{"get", true,
           [](const Value& x, const Arguments& a) {
             const std::vector<const Value*> b = bind(a, "get", {"key", "default"}, 1);
             const Value* found = x.find(text_of(*b[0], "get"));
             return found != nullptr ? *found : b[1] != nullptr ? *b[1] : Value::none();
           }},
    Method{"items", true,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "items", {});
             return pairs_of(x);
           }},
    Method{"join", false,
           [](const Value& x, const Arguments& a) {
             return joined(items_of(*bind(a, "join", {"items"}, 1)[0]), text_of(x, ""), nullptr);
           }},
    Method{"keys", true,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "keys", {});
             return members_of(x, true);
           }},
    Method{"lower", false,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "lower", {});
             return Value(lower(text_of(x, "")));
           }},
    Method{"lstrip", false,
           [](const Value& x, const Arguments& a) { return strip_method(x, a, Sides::left); }},
    Method{"replace", false,
           [](const Value& x, const Arguments& a) {
             const std::vector<const Value*> b = bind(a, "replace", {"old", "new", "count"}, 2);
             return Value(replaced(text_of(x, ""), text_of(*b[0], "replace"), text_of(*b[1], "replace"),
                                   whole_or(b[2], -1, "replace")));
           }},
    Method{"rstrip", false,
           [](const Value& x, const Arguments& a) { return strip_method(x, a, Sides::right); }},
    Method{"split", false,
           [](const Value& x, const Arguments& a) {
             const std::vector<const Value*> b = bind(a, "split", {"sep", "maxsplit"});
             return list_of(
                 split_at(text_of(x, ""), text_or_none(b[0], "split"), whole_or(b[1], -1, "split")));
           }},
    Method{"startswith", false,
           [](const Value& x, const Arguments& a) {
             return Value(begins_or_ends(text_of(x, ""), *bind(a, "startswith", {"prefix"}, 1)[0], true));
           }},
    Method{"strip", false,
           [](const Value& x, const Arguments& a) { return strip_method(x, a, Sides::both); }},
    Method{"upper", false,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "upper", {});
             return Value(upper(text_of(x, "")));
           }},
    Method{"values", true,
           [](const Value& x, const Arguments& a) {
             (void)bind(a, "values", {});
             return members_of(x, false);
           }},
};

Value range_of(const Arguments& a) {
  constexpr std::int64_t most = 100000;
  const std::vector<const Value*> b = bind(a, "range", {"start", "stop", "step"}, 1);
  const bool is_alone = b[1] == nullptr;
  const std::int64_t first = is_alone ? 0 : whole_or(b[0], 0, "range"),
                     end = whole_or(is_alone ? b[0] : b[1], 0, "range"), step = whole_or(b[2], 1, "range");
  if (step == 0) throw TemplateProblem("range: the step is 0");
  constexpr std::int64_t bound = std::int64_t{1} << 40;
  for (const std::int64_t value : {first, end, step})
    if (value > bound || value < -bound) throw TemplateProblem(fmt::format("range: {} is too large", value));
  List out;
  for (std::int64_t i = first; step > 0 ? i < end : i > end; i += step) {
    if (static_cast<std::int64_t>(out.size()) == most)
      throw TemplateProblem(fmt::format("range: more than {} numbers", most));
    out.emplace_back(i);
  }
  return Value(std::move(out));
}

Dict members_given(const Arguments& a, std::string_view of) {
  Dict members;
  if (!a.positional.empty()) {
    const Dict* first = a.positional.size() == 1 ? a.positional[0].dict() : nullptr;
    if (first == nullptr) throw TemplateProblem(fmt::format("{} wants members by name", of));
    members = *first;
  }
  members.insert(members.end(), a.named.begin(), a.named.end());
  return members;
}

struct FunctionEntry {
  std::string_view name;
  Value (*call)(const Arguments& a);
};
constexpr std::array functions{
    FunctionEntry{"dict", [](const Arguments& a) { return Value(members_given(a, "dict")); }},
    FunctionEntry{
        "namespace",
        [](const Arguments& a) {
          return Value(Value::Storage(std::make_shared<Namespace>(Namespace{members_given(a, "namespace")})));
        }},
    FunctionEntry{"raise_exception",
                  [](const Arguments& a) -> Value {
                    throw TemplateRefusal(printed(*bind(a, "raise_exception", {"message"}, 1)[0]));
                  }},
    FunctionEntry{"range", range_of},
};

}  // namespace

bool is_test(std::string_view name) {
  return entry_of(tests, name) != nullptr;
}
bool is_method(std::string_view name) {
  return entry_of(methods, name) != nullptr;
}
bool is_function(std::string_view name) {
  return entry_of(functions, name) != nullptr;
}

bool apply_test(std::string_view name, const Value& x, const Arguments& arguments) {
  const Test& test = *entry_of(tests, name);
  if (!arguments.named.empty() || arguments.positional.size() != test.n_arguments)
    throw TemplateProblem(
        fmt::format("the test {} wants {} arguments", format::quote(std::string(name)), test.n_arguments));
  return test.holds(x, test.n_arguments == 0 ? Value() : arguments.positional[0]);
}

Value call_method(std::string_view name, const Value& object, const Arguments& arguments) {
  if (const auto* missing = object.as<Undefined>())
    throw TemplateProblem(fmt::format("{} is undefined, so it has no {}()", missing->what, name));
  const Method* method = entry_of(methods, name);
  const bool fits = method != nullptr && (method->is_of_dict ? object.is<std::shared_ptr<const Dict>>()
                                                             : object.is<std::string>());
  if (!fits) throw TemplateProblem(fmt::format("{} has no {}()", kind_of(object), name));
  return method->call(object, arguments);
}

Value formatted_date(const std::string& date, const Arguments& arguments) {
  const std::string& format = text_of(*bind(arguments, "strftime_now", {"format"}, 1)[0], "strftime_now");
  int year = 0, month = 0, day = 0, end = 0;
  const int n = std::sscanf(date.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &end);
  const std::chrono::year_month_day ymd{std::chrono::year(year),
                                        std::chrono::month(static_cast<unsigned>(month)),
                                        std::chrono::day(static_cast<unsigned>(day))};
  if (n != 3 || static_cast<std::size_t>(end) != date.size() || !ymd.ok())
    throw TemplateProblem(
        fmt::format("strftime_now: expected a date such as 2024-07-26, got {}", format::quote(date)));
  std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::sys_days(ymd));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 256> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  if (size == 0 && !format.empty()) throw TemplateProblem("strftime_now: the format is too long");
  return Value(std::string(text.data(), size));
}

Value call_function(std::string_view name, const Arguments& arguments) {
  return entry_of(functions, name)->call(arguments);
}

}  // namespace twistor::text::chat
