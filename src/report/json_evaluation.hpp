// SPDX-License-Identifier: Apache-2.0
// One evaluation as members of a JSON object, the same in every file.
#pragma once

#include "twistor/estimate/evaluation.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::report {

/// {"log_z": {...}, "kl": {...}, ...} of one evaluation; estimates that could not be made are null. Without
/// the time that it took. *Local.*
void add_estimates(JsonLine& json, const estimate::Evaluation& e);

}  // namespace twistor::report
