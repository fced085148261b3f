// SPDX-License-Identifier: Apache-2.0
// Comparisons as cells of tables, and as a page. Private to the report room.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "twistor/report/compare.hpp"

namespace twistor::report {

/// One column of a comparison.
struct Measure {
  const char* name;   // in files
  const char* title;  // for people
  OverRuns Measures::*value;
};
inline constexpr Measure measures_shown[] = {{"kl_q_sigma", "KL(q || sigma)", &Measures::kl_q_sigma},
                                             {"kl_sigma_q", "KL(sigma || q)", &Measures::kl_sigma_q},
                                             {"smc_lower", "lower bound", &Measures::lower},
                                             {"smc_upper", "upper bound", &Measures::upper},
                                             {"log_phi", "E log phi", &Measures::log_phi},
                                             {"kl_q_p0", "KL(q || p0)", &Measures::kl_q_p0}};

/// "mean ± half width", a dash for what is not known. *Local.*
[[nodiscard]] std::string interval_text(const OverRuns& x);
/// Label, count and a cell for each measure, for people; and the titles above. *Local.*
[[nodiscard]] std::vector<std::string> measure_titles(const std::string& of_labels,
                                                      const std::string& of_counts);
[[nodiscard]] std::vector<std::string> measure_cells(const std::string& label, std::int64_t count,
                                                     const Measures& values);
/// The same of the differences from the first row, with a line for each other one. *Local.*
[[nodiscard]] std::vector<std::string> difference_titles(std::span<const ComparedRow> rows);
[[nodiscard]] std::vector<std::vector<std::string>> difference_cells(std::span<const ComparedRow> rows);

/// The page of a comparison, self-contained as report.html is: both tables, every measure over the key that
/// tells rows apart where that is a number, and the courses of learning, a line for each row. *Local.*
[[nodiscard]] std::string comparison_page(std::span<const ComparedRow> rows, const BesideColumns& beside);

}  // namespace twistor::report
