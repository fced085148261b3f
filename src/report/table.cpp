// SPDX-License-Identifier: Apache-2.0
// Tables.
#include "twistor/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::report {
namespace {

constexpr const char* gap = "  ";

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Table::Table(std::vector<std::string> header) {
  TWISTOR_ASSERT(!header.empty(), "a table needs columns");
  rows_.push_back(std::move(header));
  add_rule();
}

Table& Table::add_row(std::vector<std::string> cells) {
  TWISTOR_ASSERT(cells.size() == rows_.front().size(),
                 fmt::format("a table of {} columns got a row of {}", rows_.front().size(), cells.size()));
  rows_.push_back(std::move(cells));
  return *this;
}

Table& Table::add_rule() {
  rows_.emplace_back();
  return *this;
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  const std::size_t total = std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1));
  std::string out;
  for (const auto& row : rows_) {
    std::string line = row.empty() ? std::string(total, '-') : std::string();
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width_of(row[c]), ' ');
      line += (c > 0 ? gap : "") + (c == 0 ? row[c] + padding : padding + row[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace twistor::report
