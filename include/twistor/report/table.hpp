// SPDX-License-Identifier: Apache-2.0
// Plain-text tables with aligned columns.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace twistor::report {

/// The first column is aligned left, the others right. Widths count characters of UTF-8 text, not bytes.
class Table {
 public:
  explicit Table(std::vector<std::string> header);

  /// Throws Error(internal) unless there is one cell per column.
  Table& add_row(std::vector<std::string> cells);
  /// A rule between the rows before and after.
  Table& add_rule();
  /// Header, rule and rows, each ended by a line end; no blanks at line ends. Columns that do not fit into
  /// lines of `widest` characters follow in further tables, each with the first column again; 0: any do.
  [[nodiscard]] std::string text(std::size_t widest = 0) const;

 private:
  /// Of those columns alone, with their widths.
  struct Column {
    std::size_t index, width;
  };
  [[nodiscard]] std::string text_of(const std::vector<Column>& columns) const;

  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
};

}  // namespace twistor::report
