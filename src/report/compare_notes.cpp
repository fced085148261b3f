// SPDX-License-Identifier: Apache-2.0
// What must be said beside a comparison.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "twistor/report/compare.hpp"

namespace twistor::report {

std::vector<std::string> notes_of(std::span<const ComparedRow> rows) {
  std::vector<std::string> out;
  for (const ComparedRow& row : rows) {
    if (row.n_shared_samples > 0)
      out.push_back(
          fmt::format("KL(sigma || q) of '{}' less that of '{}' is paired by {} exact samples that both "
                      "measured with.",
                      row.label, rows.front().label, row.n_shared_samples));
    if (!row.why_not_shared.empty())
      out.push_back(fmt::format("KL(sigma || q) of '{}' and of '{}' are taken as independent: {}.", row.label,
                                rows.front().label, row.why_not_shared));
  }
  std::map<std::string, std::vector<std::string>> missing;  // rows by key
  for (const ComparedRow& row : rows)
    for (const std::string& key : row.missing_keys) missing[key].push_back("'" + row.label + "'");
  for (const auto& [key, labels] : missing)
    out.push_back(
        fmt::format("{} is not known to runs of {}, which another version of twistor wrote; it tells no "
                    "rows apart.",
                    key, fmt::join(labels, ", ")));
  return out;
}

}  // namespace twistor::report
