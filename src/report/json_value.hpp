// SPDX-License-Identifier: Apache-2.0
// Numbers as our JSON files hold them. Private to the report room.
#pragma once

#include <limits>
#include <nlohmann/json.hpp>

namespace twistor::report {

/// What json_number() wrote: infinities are strings in our files, NaN is null. NaN for anything else, too.
inline double number_of(const nlohmann::json& value) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (value.is_number()) return value.get<double>();
  if (value == "inf") return infinity;
  return value == "-inf" ? -infinity : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace twistor::report
