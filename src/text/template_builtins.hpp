// SPDX-License-Identifier: Apache-2.0
// Filters, tests, methods and functions of chat templates. Private to the text room.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "template_value.hpp"

namespace twistor::text::chat {

struct Arguments {
  std::vector<Value> positional{};
  std::vector<Member> named{};
};

/// The values of these parameters, nullptr where one was left out; the first n_needed must be there. Throws
/// TemplateProblem naming `of` where others are given.
[[nodiscard]] std::vector<const Value*> bind(const Arguments& given, std::string_view of,
                                             std::initializer_list<std::string_view> names,
                                             std::size_t n_needed = 0);

/// A string parameter; nullptr where it was left out or is none. Throws TemplateProblem naming `of`.
[[nodiscard]] const std::string* text_or_none(const Value* value, std::string_view of);
[[nodiscard]] const std::string& text_of(const Value& value, std::string_view of);
[[nodiscard]] std::int64_t whole_or(const Value* value, std::int64_t otherwise, std::string_view of);

/// What a loop runs over: the items of a list, the keys of a dictionary, the characters of a string, nothing
/// of what is undefined. Throws TemplateProblem for the rest.
[[nodiscard]] List items_of(const Value& value);

/// object.name and object[name]: undefined where there is none. Throws TemplateProblem if the object is
/// undefined itself.
[[nodiscard]] Value member_of(const Value& object, const std::string& name);

/// "a.b" of an item.
[[nodiscard]] Value attribute_of(const Value& item, const std::string& path);
/// The members of a dictionary as lists of two.
[[nodiscard]] Value pairs_of(const Value& dict);
[[nodiscard]] Value joined(const List& items, const std::string& between, const Value* attribute);

/// "x is undefined", or what kind of value it is.
[[nodiscard]] std::string defined_name(const Value& value);
/// a SIGN b for + - * / // %; integers stay integers, as in Python.
[[nodiscard]] Value calculate(const std::string& sign, const Value& a, const Value& b);
/// a SIGN b for == != < > <= >= in, "not in".
[[nodiscard]] bool holds(const std::string& sign, const Value& a, const Value& b);

/// Python's "a in b".
[[nodiscard]] bool contains(const Value& whole, const Value& part);
/// Python's a < b.
[[nodiscard]] bool less(const Value& a, const Value& b);

/// The entry of a table with that name, or nullptr.
template <class Table>
auto* entry_of(const Table& table, std::string_view name) {
  const auto found = std::ranges::find(table, name, &Table::value_type::name);
  return found == table.end() ? nullptr : &*found;
}

[[nodiscard]] Value apply_filter(std::string_view name, const Value& x, const Arguments& arguments);
[[nodiscard]] bool apply_test(std::string_view name, const Value& x, const Arguments& arguments);
[[nodiscard]] Value call_method(std::string_view name, const Value& object, const Arguments& arguments);
/// What strftime_now gives on a day, written as 2024-07-26, at midnight.
[[nodiscard]] Value formatted_date(const std::string& date, const Arguments& arguments);
[[nodiscard]] Value call_function(std::string_view name, const Arguments& arguments);

}  // namespace twistor::text::chat
