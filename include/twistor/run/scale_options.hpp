// SPDX-License-Identifier: Apache-2.0
// What `twistor scale` can be told.
#pragma once

#include <cstdint>

#include "twistor/config/key.hpp"

namespace twistor::run {

/// The options of `twistor scale`.
struct ScaleOptions {
  std::int64_t ranks = 64;    ///< P, all in one population
  double latency_us = 5;      ///< of a message between two ranks
  double bandwidth_gb_s = 2;  ///< of a rank
  double speedup = 1;         ///< of a rank's computing there over one here
  double calibration_s = 5;   ///< for growing the calibration's population
  bool check = false;         ///< runs on the ranks here, too
  void visit_keys(const config::Visitor& visit);
};

}  // namespace twistor::run
