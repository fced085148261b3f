// SPDX-License-Identifier: Apache-2.0
// Error texts.
#include "twistor/base/error.hpp"

#include <fmt/format.h>

#include <utility>

namespace twistor {

Error::Error(ErrorKind kind, const std::string& doing, const std::string& problem, std::string hint,
             std::source_location where)
    : std::runtime_error(doing + ": " + problem), kind_(kind), hint_(std::move(hint)), where_(where) {}

std::string Error::text() const {
  std::string out = what();
  if (!hint_.empty()) out += "\nhint: " + hint_;
  if (kind_ == ErrorKind::internal) out += fmt::format("\nat {}:{}", where_.file_name(), where_.line());
  return out;
}

void throw_assertion(const char* condition, const std::string& message, std::source_location where) {
  throw Error(ErrorKind::internal, "checking an invariant",
              fmt::format("{} (violated: {})", message, condition),
              "this is a mistake in twistor; please report it with the command that led here", where);
}

}  // namespace twistor
