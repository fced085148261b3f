// SPDX-License-Identifier: Apache-2.0
// Comma-separated values (RFC 4180), for spreadsheets and Python's csv module.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace twistor::report {

/// The text with U+FFFD in place of bytes that are not UTF-8. *Local.*
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// One record with its line end ("\n"). Fields with commas, quotes or line ends are put in quotes. *Local.*
[[nodiscard]] std::string csv_line(std::span<const std::string> fields);

/// Records in a text; a line end inside quotes ends none, and a last one without line end counts. *Local.*
[[nodiscard]] std::int64_t count_csv_records(std::string_view text) noexcept;

}  // namespace twistor::report
