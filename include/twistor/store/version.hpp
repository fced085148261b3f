// SPDX-License-Identifier: Apache-2.0
// What wrote a file: the version of this program and the commit it was built from.
#pragma once

#include <string>
#include <string_view>

namespace twistor::store {

/// "1.2.3". *Local.*
[[nodiscard]] std::string_view program_version() noexcept;

/// The commit, "a76f2d1c0ffe", with "-dirty" after it if tracked files differed from it; "unknown" where the
/// program was not built in a clone. *Local.*
[[nodiscard]] std::string_view program_revision() noexcept;

/// "twistor 1.2.3 (a76f2d1c0ffe)". *Local.*
[[nodiscard]] std::string program_name();

}  // namespace twistor::store
