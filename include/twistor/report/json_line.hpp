// SPDX-License-Identifier: Apache-2.0
// JSON texts built by hand, with numbers that read back to the same bits.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "twistor/estimate/statistics.hpp"

namespace twistor::report {

/// The shortest decimal text that reads back to the same double. JSON has no word for other values, so
/// infinities become the strings "inf" and "-inf" (quotes included) and NaN becomes null.
[[nodiscard]] std::string json_number(double value);
/// The same for people: without quotes, and "nan".
[[nodiscard]] std::string plain_number(double value);

/// One JSON object on one line, members in the order in which they were added. Throws Error(internal) for a
/// second member of the same name.
///
///     JsonLine().add("update", 3).add("loss", 0.1).text()  ==  {"update":3,"loss":0.1}
class JsonLine {
 public:
  JsonLine& add(std::string_view name, double value) { return add_json(name, json_number(value)); }
  JsonLine& add(std::string_view name, bool value) { return add_json(name, value ? "true" : "false"); }
  JsonLine& add(std::string_view name, std::integral auto value) {
    return add_json(name, std::to_string(value));
  }
  /// Bytes that are not UTF-8 become U+FFFD.
  JsonLine& add(std::string_view name, std::string_view text);
  JsonLine& add(std::string_view name, const char* text) { return add(name, std::string_view(text)); }
  JsonLine& add(std::string_view name, const JsonLine& object) { return add_json(name, object.text()); }
  /// {"mean": ..., "se": ..., "n": ...}; null for n = 0.
  JsonLine& add(std::string_view name, const estimate::Estimate& estimate);
  JsonLine& add(std::string_view name, std::span<const double> values);
  JsonLine& add(std::string_view name, std::span<const std::int64_t> values);
  /// One member per entry, at this level.
  JsonLine& add_all(const std::map<std::string, double>& members);
  JsonLine& add_all(const std::map<std::string, std::int64_t>& members);
  /// `json` is JSON already, for instance "null" or an array of objects.
  JsonLine& add_json(std::string_view name, std::string_view json);

  [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
  std::map<std::string, bool, std::less<>> names_;
};

/// The same JSON with two spaces of indentation and every number as it was written, for files that people
/// open. Throws Error(internal) if `json` is not JSON.
[[nodiscard]] std::string indented(std::string_view json);

/// Writes `text` so that a kill leaves the old or the new file, never half of one. Throws Error(io). *Local.*
void write_text_atomically(const std::string& path, std::string_view text);

}  // namespace twistor::report
