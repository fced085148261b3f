// SPDX-License-Identifier: Apache-2.0
// The keys of a whole configuration, "section.name", bound to the object that holds their values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twistor/config/key.hpp"

namespace twistor::config {

/// One key of one object.
struct Field {
  std::string key;  ///< "section.name"; a section of a family has a point of its own, "policy.a"
  Key about;
  Value value;
  [[nodiscard]] std::string_view section() const { return std::string_view(key).substr(0, key.rfind('.')); }
};

/// Where a value comes from: in a file, texts may be quoted and comments may follow; elsewhere a text is
/// taken verbatim.
enum class ValueSyntax { file, verbatim };

/// "an integer from 1 to 9", "one of: a, b".
[[nodiscard]] std::string expectation(const Field& field);
/// The names that a value may have; empty if any will do.
[[nodiscard]] std::vector<std::string_view> choices(const Field& field);
/// Sets one value. Returns what is wrong with `text`, or an empty string if nothing is.
[[nodiscard]] std::string assign(const Field& field, std::string_view text, ValueSyntax syntax);
/// The value as assign() with ValueSyntax::file reads it back.
[[nodiscard]] std::string format_value(const Field& field);
/// Whether two objects hold the same value under one key, compared as what it is and not as text.
[[nodiscard]] bool is_equal(const Field& a, const Field& b);

/// A text that is a finite number, or empty: none. Throws Error(config) that names the key if it is neither.
[[nodiscard]] std::optional<double> optional_number(std::string_view text, std::string_view key);

/// All keys of one object, in the order of its visit. *Local.* Holds pointers into the object.
class Fields {
 public:
  /// The keys of `options` join as section.name.
  template <class Options>
  void add(std::string_view section, Options& options) {
    options.visit_keys([&](const Key& key, const Value& value) {
      fields_.push_back({std::string(section) + "." + std::string(key.name), key, value});
    });
  }

  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }
  [[nodiscard]] std::size_t size() const { return fields_.size(); }
  [[nodiscard]] const Field& operator[](std::size_t i) const { return fields_[i]; }
  /// nullptr if there is none of that key.
  [[nodiscard]] const Field* find(std::string_view key) const;
  /// find(), but throws Error(config) that names the nearest key. `doing` says where the key was read.
  [[nodiscard]] const Field& require(std::string_view key, const std::string& doing) const;
  /// In order, each once.
  [[nodiscard]] std::vector<std::string_view> sections() const;

 private:
  std::vector<Field> fields_;
};

/// Whether two objects of one kind hold equal values under all keys.
[[nodiscard]] bool are_equal(const Fields& a, const Fields& b);

}  // namespace twistor::config
