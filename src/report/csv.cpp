// SPDX-License-Identifier: Apache-2.0
// Comma-separated values.
#include "twistor/report/csv.hpp"

#include <nlohmann/json.hpp>

#include "twistor/format/json.hpp"

namespace twistor::report {

std::string valid_utf8(std::string_view text) {
  return nlohmann::json::parse(format::json_string(text)).get<std::string>();
}

std::string csv_line(std::span<const std::string> fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    const std::string& field = fields[i];
    // An empty line would be no record at all.
    const bool is_lonely = fields.size() == 1 && field.empty();
    if (field.find_first_of(",\"\r\n") == std::string::npos && !is_lonely) {
      line += field;
      continue;
    }
    line += '"';
    for (const char c : field) line.append(c == '"' ? 2 : 1, c);
    line += '"';
  }
  return line + '\n';
}

std::int64_t count_csv_records(std::string_view text) noexcept {
  std::int64_t n = 0;
  bool is_quoted = false, is_open = false;
  for (const char c : text) {
    if (c == '"') is_quoted = !is_quoted;  // a doubled quote closes and opens again
    const bool is_end = c == '\n' && !is_quoted;
    n += is_end ? 1 : 0;
    is_open = !is_end;
  }
  return n + (is_open ? 1 : 0);
}

}  // namespace twistor::report
