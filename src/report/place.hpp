// SPDX-License-Identifier: Apache-2.0
// A value of a run's files together with the way to it, so that a number shown can say where it stands.
// Private to the report room.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace twistor::report {

/// A value in JSON that outlives it. The way has the names of members and the indices of elements with a dot
/// between them, as "All numbers" of report.html lists them.
class Place {
 public:
  explicit Place(const nlohmann::json& value, std::string way = {}) : value_(&value), way_(std::move(way)) {}

  [[nodiscard]] const nlohmann::json& operator*() const { return *value_; }
  [[nodiscard]] const nlohmann::json* operator->() const { return value_; }
  [[nodiscard]] const std::string& way() const { return way_; }
  /// Null if there is none.
  [[nodiscard]] Place at(std::initializer_list<const char*> names) const;
  /// Of an array. 0 <= i < size.
  [[nodiscard]] Place element(std::size_t i) const;

 private:
  const nlohmann::json* value_;
  std::string way_;
};

}  // namespace twistor::report
