// SPDX-License-Identifier: Apache-2.0
// The message about a name that no value has.
#include "twistor/base/names.hpp"

#include <fmt/format.h>

#include "twistor/base/strings.hpp"

namespace twistor::detail {

void throw_unknown_name(std::string_view name, std::string_view key,
                        std::span<const std::string_view> choices, const std::string& doing) {
  throw Error(ErrorKind::config, doing,
              fmt::format("{} is '{:.60}' (expected {})", key, name, join_alternatives(choices)));
}

}  // namespace twistor::detail
