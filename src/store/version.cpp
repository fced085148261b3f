// SPDX-License-Identifier: Apache-2.0
// The version, which CMakeLists.txt knows.
#include "twistor/store/version.hpp"

#include <fmt/format.h>

namespace twistor::store {

std::string_view program_version() noexcept {
  return TWISTOR_VERSION;
}

std::string program_name() {
  return fmt::format("twistor {} ({})", program_version(), program_revision());
}

}  // namespace twistor::store
