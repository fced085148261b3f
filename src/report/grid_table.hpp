// SPDX-License-Identifier: Apache-2.0
// What the rows of a grid of evaluations come to: means over seeds for each K.
#pragma once

#include <string>
#include <vector>

#include "evaluation_columns.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {

/// K, seed and the numbers of all samplers, in a fixed order. *Local.*
[[nodiscard]] std::vector<NumberColumn> grid_columns(const std::vector<GridRow>& rows);

/// A row for each sampler and K: means over seeds with Student's t intervals at 95 %, and the exponent by
/// which the gap between the SMC bounds falls with K. Empty without rows. *Local.*
[[nodiscard]] std::string grid_table(const std::vector<GridRow>& rows);

/// The same for summary.json: {"seeds": [...], "means": [...], "gap_slope": {...}}. *Local.*
[[nodiscard]] JsonLine grid_json(const std::vector<GridRow>& rows);

}  // namespace twistor::report
