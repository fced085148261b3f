// SPDX-License-Identifier: Apache-2.0
// Going down into JSON.
#include "place.hpp"

#include <fmt/format.h>

#include "run_json.hpp"

namespace twistor::report {
namespace {

std::string joined(const std::string& way, std::string_view name) {
  return way.empty() ? std::string(name) : fmt::format("{}.{}", way, name);
}

}  // namespace

Place Place::at(std::initializer_list<const char*> names) const {
  std::string way = way_;
  for (const char* name : names) way = joined(way, name);
  return Place(report::at(*value_, names), std::move(way));
}

Place Place::element(std::size_t i) const {
  return Place((*value_)[i], joined(way_, fmt::format("{}", i)));
}

}  // namespace twistor::report
