// SPDX-License-Identifier: Apache-2.0
// Values of chat templates as Python has them.
#include "template_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "template_error.hpp"
#include "twistor/base/utf8.hpp"
#include "twistor/format/json.hpp"

namespace twistor::text::chat {
namespace {

constexpr int deepest_list = 64;

/// As Python's repr(): the shortest digits that give the number back, and a point or an exponent.
std::string float_text(double value) {
  if (!std::isfinite(value)) throw TemplateProblem("a number is not finite");
  return nlohmann::json(value).dump();
}

bool equal_within(const Value& a, const Value& b, std::int64_t& left) {
  if (--left < 0) throw TemplateProblem("a comparison does not end");
  if (a.is_number() && b.is_number()) {
    const auto *x = a.as<std::int64_t>(), *y = b.as<std::int64_t>();
    return x != nullptr && y != nullptr ? *x == *y : a.number() == b.number();
  }
  if (a.storage().index() != b.storage().index()) return false;
  if (const auto* text = a.as<std::string>()) return *text == *b.as<std::string>();
  if (const List* items = a.list())
    return std::ranges::equal(*items, *b.list(),
                              [&](const Value& x, const Value& y) { return equal_within(x, y, left); });
  if (const auto* members = a.as<std::shared_ptr<const Dict>>())
    return (*members)->size() == b.dict()->size() && std::ranges::all_of(**members, [&](const Member& m) {
             const Value* other = b.find(m.first);
             return other != nullptr && equal_within(m.second, *other, left);
           });
  if (const auto* space = a.as<std::shared_ptr<Namespace>>())
    return *space == *b.as<std::shared_ptr<Namespace>>();
  if (const auto* function = a.as<Function>()) return function->name == b.as<Function>()->name;
  return true;  // undefined or none
}

void append_json(const Value& value, std::int64_t indent, std::int64_t depth, std::string& out) {
  if (out.size() > most_template_bytes) throw TemplateProblem("tojson makes a text that is too long");
  const List* items = value.list();
  const Dict* members = value.dict();
  if (value.is<std::string>()) {
    out += format::json_string(*value.as<std::string>());
  } else if (value.is<bool>()) {
    out += value.is_true() ? "true" : "false";
  } else if (value.is<None>()) {
    out += "null";
  } else if (value.is_number()) {
    out += printed(value);
  } else if (items == nullptr && members == nullptr) {
    throw TemplateProblem(fmt::format("JSON has no spelling of {}", kind_of(value)));
  } else {
    const auto begin_line = [&](std::int64_t level) {
      if (indent >= 0) out.append("\n").append(static_cast<std::size_t>(indent * level), ' ');
    };
    const std::size_t n = items != nullptr ? items->size() : members->size();
    out += items != nullptr ? '[' : '{';
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0) out += indent < 0 ? ", " : ",";
      begin_line(depth + 1);
      if (members != nullptr) out += format::json_string((*members)[i].first) + ": ";
      append_json(items != nullptr ? (*items)[i] : (*members)[i].second, indent, depth + 1, out);
    }
    if (n > 0) begin_line(depth);
    out += items != nullptr ? ']' : '}';
  }
}

}  // namespace

void Value::stand_above(const Value& part) {
  depth_ = std::max(depth_, part.depth_ + 1);
  if (depth_ > deepest_list)
    throw TemplateProblem(fmt::format("lists in lists go more than {} deep", deepest_list));
  if (part.is<std::shared_ptr<Namespace>>())
    throw TemplateProblem("a namespace inside another value is not supported");
}

Value::Value(List items) {
  if (items.size() > most_items) throw TemplateProblem("a list is too long");
  for (const Value& item : items) stand_above(item);
  storage_ = std::make_shared<const List>(std::move(items));
}

Value::Value(Dict members) {
  for (const Member& member : members) stand_above(member.second);
  storage_ = std::make_shared<const Dict>(std::move(members));
}

const List* Value::list() const {
  const auto* found = as<std::shared_ptr<const List>>();
  return found == nullptr ? nullptr : found->get();
}

const Dict* Value::dict() const {
  if (const auto* found = as<std::shared_ptr<const Dict>>()) return found->get();
  const auto* space = as<std::shared_ptr<Namespace>>();
  return space == nullptr ? nullptr : &(*space)->members;
}

double Value::number() const {
  if (const auto* flag = as<bool>()) return *flag ? 1 : 0;
  if (const auto* whole = as<std::int64_t>()) return static_cast<double>(*whole);
  return std::get<double>(storage_);
}

bool Value::is_true() const {
  if (is_number()) return number() != 0;
  if (const auto* text = as<std::string>()) return !text->empty();
  if (const List* items = list()) return !items->empty();
  if (const auto* members = as<std::shared_ptr<const Dict>>()) return !(*members)->empty();
  return !is<Undefined>() && !is<None>();
}

const Value* Value::find(std::string_view key) const {
  const Dict* members = dict();
  if (members == nullptr) return nullptr;
  const auto found = std::ranges::find(*members, key, &Member::first);
  return found == members->end() ? nullptr : &found->second;
}

std::string kind_of(const Value& value) {
  constexpr std::array names{"undefined", "none",       "a boolean", "an integer",   "a number",
                             "a string",  "a function", "a list",    "a dictionary", "a namespace"};
  return names[value.storage().index()];
}

bool equal(const Value& a, const Value& b) {
  std::int64_t left = 1000000;
  return equal_within(a, b, left);
}

std::string printed(const Value& value) {
  if (const auto* text = value.as<std::string>()) return *text;
  if (const auto* flag = value.as<bool>()) return *flag ? "True" : "False";
  if (const auto* whole = value.as<std::int64_t>()) return fmt::format("{}", *whole);
  if (const auto* number = value.as<double>()) return float_text(*number);
  if (value.is<None>()) return "None";
  if (value.is<Undefined>()) return "";
  throw TemplateProblem(
      fmt::format("{} is printed as it is; the filter tojson is supported", kind_of(value)));
}

std::string json_of(const Value& value, std::int64_t indent) {
  std::string out;
  append_json(value, indent, 0, out);
  return out;
}

Value from_json(const nlohmann::ordered_json& json, int depth) {
  if (depth > deepest_list)
    throw TemplateProblem(fmt::format("it is nested more than {} deep", deepest_list));
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_number_integer()) return Value(json.get<std::int64_t>());
  if (json.is_number()) return Value(Value::Storage(json.get<double>()));
  if (json.is_array()) {
    List items;
    for (const auto& item : json) items.push_back(from_json(item, depth + 1));
    return Value(std::move(items));
  }
  if (json.is_object()) {
    Dict members;
    for (const auto& [key, member] : json.items()) members.emplace_back(key, from_json(member, depth + 1));
    return Value(std::move(members));
  }
  return Value::none();
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size(); at += out.back().size())
    out.push_back(text.substr(at, next_code_point(text, at).size));
  return out;
}

}  // namespace twistor::text::chat
