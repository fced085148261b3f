// SPDX-License-Identifier: Apache-2.0
// Tables.
#include "twistor/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::report {
namespace {

constexpr std::string_view gap = "  ";

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

std::string Table::text(std::size_t widest) const {
  std::vector<Column> all;
  for (std::size_t c = 0; c < rows_.front().size(); ++c) {
    all.push_back({c, 0});
    for (const auto& row : rows_)
      if (!row.empty()) all.back().width = std::max(all.back().width, width_of(row[c]));
  }
  std::string out;
  std::vector<Column> chosen{all.front()};
  std::size_t width = all.front().width;
  for (std::size_t c = 1; c < all.size(); ++c) {
    if (widest > 0 && chosen.size() > 1 && width + gap.size() + all[c].width > widest) {
      out += text_of(chosen) + "\n";
      chosen.resize(1);
      width = all.front().width;
    }
    chosen.push_back(all[c]);
    width += gap.size() + all[c].width;
  }
  return out + text_of(chosen);
}

std::string Table::text_of(const std::vector<Column>& columns) const {
  std::size_t total = gap.size() * (columns.size() - 1);
  for (const Column& column : columns) total += column.width;
  std::string out;
  for (const auto& row : rows_) {
    std::string line = row.empty() ? std::string(total, '-') : std::string();
    for (const auto& [c, width] : columns) {
      if (row.empty()) break;
      const std::string padding(width - width_of(row[c]), ' ');
      if (c == 0)
        line = row[c] + padding;
      else
        line.append(gap).append(padding).append(row[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace twistor::report
