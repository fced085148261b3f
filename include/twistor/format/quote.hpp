// SPDX-License-Identifier: Apache-2.0
// Strings from files, made fit for a message: cut, printable, in quotation marks.
#pragma once

#include <string>
#include <string_view>

namespace twistor::format {

/// 'text' with bytes outside printable ASCII and UTF-8 written as \xNN, cut after 60 bytes. *Local.*
[[nodiscard]] std::string quote(std::string_view text);

}  // namespace twistor::format
