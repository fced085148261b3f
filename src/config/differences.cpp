// SPDX-License-Identifier: Apache-2.0
// Comparing configurations key by key.
#include "twistor/config/differences.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::config {

void Differences::compare(std::string_view what, std::string_view stored, std::string_view wanted) {
  if (stored != wanted) add(what, stored, wanted);
}

void Differences::compare_key(std::string_view key) {
  const Field *stored = stored_.find(key), *wanted = wanted_.find(key);
  TWISTOR_ASSERT(stored != nullptr || wanted != nullptr, fmt::format("there is a key {}", key));
  if (stored == nullptr || wanted == nullptr)  // of a section with a name of its own
    return add(key, stored == nullptr ? "not there" : format_value(*stored),
               wanted == nullptr ? "not there" : format_value(*wanted));
  if (!is_equal(*stored, *wanted)) add(key, format_value(*stored), format_value(*wanted));
}

void Differences::add(std::string_view what, std::string_view stored, std::string_view wanted) {
  text_ += fmt::format("{}{} is '{}' in the checkpoint and '{}' in this run", text_.empty() ? "" : "; ", what,
                       stored, wanted);
}

}  // namespace twistor::config
