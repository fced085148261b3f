// SPDX-License-Identifier: Apache-2.0
// JSON texts.
#include "twistor/report/json_line.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "twistor/base/atomic_file.hpp"
#include "twistor/base/error.hpp"
#include "twistor/format/json.hpp"

namespace twistor::report {
namespace {

template <class T, class Format>
std::string array_of(std::span<const T> values, Format format) {
  std::string text = "[";
  for (const T value : values) {
    if (text.size() > 1) text += ',';
    text += format(value);
  }
  return text + "]";
}

/// Copies a JSON string, quotes included, from json[at] on; returns the place after it.
std::size_t copy_string(std::string_view json, std::size_t at, std::string& out) {
  const std::size_t begin = at++;
  while (json[at] != '"') at += json[at] == '\\' ? 2 : 1;
  out.append(json.substr(begin, at + 1 - begin));
  return at + 1;
}

}  // namespace

std::string plain_number(double value) {
  if (std::isnan(value)) return "nan";  // to_chars would show the sign of a NaN
  std::array<char, 32> buffer{};        // the longest shortest form has 24 characters
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

std::string json_number(double value) {
  if (std::isnan(value)) return "null";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return plain_number(value);
}

JsonLine& JsonLine::add_json(std::string_view name, std::string_view json) {
  TWISTOR_ASSERT(names_.emplace(name, true).second,
                 "a JSON object got the member '" + std::string(name) + "' twice");
  if (!members_.empty()) members_ += ',';
  members_ += format::json_string(name);
  members_ += ':';
  members_ += json;
  return *this;
}

JsonLine& JsonLine::add(std::string_view name, std::string_view text) {
  return add_json(name, format::json_string(text));
}

JsonLine& JsonLine::add(std::string_view name, const estimate::Estimate& estimate) {
  if (estimate.n == 0) return add_json(name, "null");
  return add(name, JsonLine().add("mean", estimate.mean).add("se", estimate.se).add("n", estimate.n));
}

JsonLine& JsonLine::add(std::string_view name, std::span<const double> values) {
  return add_json(name, array_of(values, json_number));
}

JsonLine& JsonLine::add(std::string_view name, std::span<const std::int64_t> values) {
  return add_json(name, array_of(values, [](std::int64_t value) { return std::to_string(value); }));
}

JsonLine& JsonLine::add_all(const std::map<std::string, double>& members) {
  for (const auto& [name, value] : members) add(name, value);
  return *this;
}

JsonLine& JsonLine::add_all(const std::map<std::string, std::int64_t>& members) {
  for (const auto& [name, value] : members) add(name, value);
  return *this;
}

std::string indented(std::string_view json) {
  TWISTOR_ASSERT(nlohmann::json::accept(json), "a text that should be JSON is none");
  // Not by parsing and printing: that would write numbers anew.
  std::string out;
  std::size_t depth = 0;
  const auto new_line = [&] { out.append("\n").append(2 * depth, ' '); };
  for (std::size_t at = 0; at < json.size();) {
    const char c = json[at];
    if (c == '"') {
      at = copy_string(json, at, out);
      continue;
    }
    ++at;
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    const bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
    const bool is_empty = closes && (out.back() == '{' || out.back() == '[');
    if (closes) --depth;
    if (closes && !is_empty) new_line();
    out += c;
    if (opens) ++depth;
    const auto next = json.find_first_not_of(" \n\t\r", at);
    const bool next_closes = next != std::string_view::npos && (json[next] == '}' || json[next] == ']');
    if ((opens && !next_closes) || c == ',') new_line();
    if (c == ':') out += ' ';
  }
  return out + "\n";
}

void write_text_atomically(const std::string& path, std::string_view text) {
  write_file_atomically(path, text, "writing " + path);
}

}  // namespace twistor::report
