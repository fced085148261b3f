// SPDX-License-Identifier: Apache-2.0
// Pieces of HTML.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace twistor::report {

/// UTF-8 with &, <, > and quotation marks as entities; control characters become U+FFFD. *Local.*
[[nodiscard]] std::string html(std::string_view text);

/// <h2 id=...>TITLE</h2> and the body after it; empty if the body is. *Local.*
[[nodiscard]] std::string section(std::string_view title, const std::string& body);

/// <details> with a title; closed at first. *Local.*
[[nodiscard]] std::string details(std::string_view title, const std::string& body);

/// Figures beside one another, as many as the screen has room for; empty if there are none. *Local.*
[[nodiscard]] std::string side_by_side(const std::string& figures);

/// A table that scrolls sideways where it is too wide. Cells are HTML; the first of each row is its heading.
/// *Local.*
[[nodiscard]] std::string html_table(const std::vector<std::string>& header,
                                     const std::vector<std::vector<std::string>>& rows);

/// The whole document with its style: light or dark as the reader's system is, readable in print and on a
/// narrow screen. *Local.*
[[nodiscard]] std::string html_page(std::string_view title, const std::string& body);

}  // namespace twistor::report
