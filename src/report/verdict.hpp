// SPDX-License-Identifier: Apache-2.0
// What a newcomer should believe of a run's numbers. Private to the report room.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace twistor::report {

enum class Trust { good, fair, bad };

struct Verdict {
  Trust trust;
  std::string words;  ///< sentences of plain text
};

/// By what the run can show: whether log q is right, whether populations miss a part of the target, how far
/// the bounds of log Z are apart, how near single texts of q are to the target, and how many particles carry
/// the weight. Good: bounds within 0.1 nats and both divergences below 2. *Local.*
[[nodiscard]] Verdict verdict_on(const nlohmann::json& summary);

}  // namespace twistor::report
