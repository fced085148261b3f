// SPDX-License-Identifier: Apache-2.0
// JSON from files that may be damaged or hostile: bounded depth, and lookups whose errors name file and
// place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace twistor::format {

/// Deeper nesting is refused before parsing; no file of a language model comes near it.
inline constexpr int max_json_depth = 64;

/// Throws Error(data) with "doing", line and column where the text is no JSON or is nested too deeply. The
/// words NaN, Infinity and -Infinity, which Python's json writes, stand for values that JsonView refuses
/// wherever one is looked up. *Local.*
[[nodiscard]] nlohmann::json parse_json(std::string_view text, const std::string& doing);

/// The text as a JSON string, quotation marks included; bytes that are no UTF-8 become U+FFFD. *Local.*
[[nodiscard]] std::string json_string(std::string_view text);

/// A place in a document: the value, and the way to it ("model.merges[3]") for messages. Views the document.
/// Every lookup throws Error(data) saying what was expected there and what was found.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, std::string doing, std::string place = {});

  /// The member of an object; missing or null is an error.
  [[nodiscard]] JsonView at(std::string_view key) const;
  /// nullopt if the member is missing or null.
  [[nodiscard]] std::optional<JsonView> find(std::string_view key) const;
  /// The element of an array.
  [[nodiscard]] JsonView item(std::size_t index) const;
  /// A view of a value inside this one that the caller found by iterating over object().
  [[nodiscard]] JsonView child(std::string_view key, const nlohmann::json& value) const;

  [[nodiscard]] std::size_t array_size() const;
  [[nodiscard]] std::int64_t integer(std::int64_t smallest = std::numeric_limits<std::int64_t>::min(),
                                     std::int64_t largest = std::numeric_limits<std::int64_t>::max()) const;
  [[nodiscard]] double number() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] const std::string& string() const;
  /// The underlying object, for iteration.
  [[nodiscard]] const nlohmann::json& object() const;
  [[nodiscard]] bool is_array() const;
  [[nodiscard]] bool is_object() const;

  /// Throws Error(data) about this place.
  [[noreturn]] void fail(const std::string& problem, const std::string& hint = {}) const;

 private:
  [[noreturn]] void fail_type(std::string_view expected) const;

  const nlohmann::json* value_;
  std::string doing_;
  std::string place_;
};

}  // namespace twistor::format
