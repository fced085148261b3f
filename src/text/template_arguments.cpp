// SPDX-License-Identifier: Apache-2.0
// What filters, tests and methods of chat templates share.
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
/// A string parameter; nullptr where it was left out or is none.
const std::string* text_or_none(const Value* value, std::string_view of) {
  if (value == nullptr || value->is<None>()) return nullptr;
  const auto* text = value->as<std::string>();
  if (text == nullptr) throw TemplateProblem(fmt::format("{} wants a string, not {}", of, kind_of(*value)));
  return text;
}
const std::string& text_of(const Value& value, std::string_view of) {
  const std::string* text = text_or_none(&value, of);
  if (text == nullptr) throw TemplateProblem(fmt::format("{} wants a string, not none", of));
  return *text;
}
std::int64_t whole_or(const Value* value, std::int64_t otherwise, std::string_view of) {
  if (value == nullptr || value->is<None>()) return otherwise;
  if (const auto* whole = value->as<std::int64_t>()) return *whole;
  throw TemplateProblem(fmt::format("{} wants an integer, not {}", of, kind_of(*value)));
}
std::vector<const Value*> bind(const Arguments& given, std::string_view of,
                               std::initializer_list<std::string_view> names, std::size_t n_needed) {
  std::vector<const Value*> out(names.size(), nullptr);
  if (given.positional.size() > names.size())
    throw TemplateProblem(
        fmt::format("{} takes at most {} arguments here, got {}", of, names.size(), given.positional.size()));
  for (std::size_t i = 0; i < given.positional.size(); ++i) out[i] = &given.positional[i];
  for (const auto& [name, value] : given.named) {
    const auto* found = std::ranges::find(names, name);
    if (found == names.end())
      throw TemplateProblem(fmt::format("{} with {} is not supported", of, format::quote(name)));
    const Value*& place = out[static_cast<std::size_t>(found - names.begin())];
    if (place != nullptr) throw TemplateProblem(fmt::format("{}: {} is given twice", of, name));
    place = &value;
  }
  for (std::size_t i = 0; i < n_needed; ++i)
    if (out[i] == nullptr)
      throw TemplateProblem(fmt::format("{} lacks its argument {}", of, *(names.begin() + i)));
  return out;
}

List items_of(const Value& value) {
  if (value.is<Undefined>()) return {};
  if (const List* items = value.list()) return *items;
  List out;
  if (const auto* text = value.as<std::string>()) {
    if (text->size() > most_items)
      throw TemplateProblem("a string is too long for its characters to be items");
    for (const std::string_view c : characters(*text)) out.emplace_back(std::string(c));
    return out;
  }
  const auto* members = value.as<std::shared_ptr<const Dict>>();
  if (members == nullptr) throw TemplateProblem(fmt::format("{} has no items", kind_of(value)));
  for (const auto& member : **members) out.emplace_back(member.first);
  return out;
}

Value member_of(const Value& object, const std::string& name) {
  if (const auto* missing = object.as<Undefined>())
    throw TemplateProblem(
        fmt::format("{} is undefined, so it has no {}", missing->what, format::quote(name)));
  const Value* found = object.find(name);
  return found != nullptr ? *found : Value::undefined(format::quote(name));
}

bool contains(const Value& whole, const Value& part) {
  if (whole.is<Undefined>()) return false;
  if (const auto* text = whole.as<std::string>())
    return text->find(text_of(part, "in a string")) != std::string::npos;
  if (const List* items = whole.list())
    return std::ranges::any_of(*items, [&](const Value& item) { return equal(item, part); });
  const auto* key = part.as<std::string>();
  if (whole.dict() == nullptr) throw TemplateProblem(fmt::format("nothing is in {}", kind_of(whole)));
  return key != nullptr && whole.find(*key) != nullptr;
}

bool less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is<std::string>() && b.is<std::string>()) return *a.as<std::string>() < *b.as<std::string>();
  throw TemplateProblem(fmt::format("{} and {} have no order", kind_of(a), kind_of(b)));
}

Value attribute_of(const Value& item, const std::string& path) {
  Value at = item;
  const std::string dot = ".";
  for (const std::string& name : split_at(path, &dot, -1)) at = member_of(at, name);
  return at;
}

Value pairs_of(const Value& x) {
  List out;
  if (x.is<Undefined>()) return Value(std::move(out));
  const Dict* members = x.dict();
  if (members == nullptr) throw TemplateProblem(fmt::format("items wants a dictionary, not {}", kind_of(x)));
  for (const auto& [key, value] : *members) out.emplace_back(List{Value(key), value});
  return Value(std::move(out));
}

Value joined(const List& items, const std::string& between, const Value* attribute) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i)
    out += (i == 0 ? "" : between) +
           printed(attribute == nullptr ? items[i] : attribute_of(items[i], text_of(*attribute, "join")));
  return Value(std::move(out));
}

}  // namespace twistor::text::chat
