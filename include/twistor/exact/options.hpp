// SPDX-License-Identifier: Apache-2.0
// What the making of exact samples can be told.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"

namespace twistor::exact {

/// How samples are made.
enum class Way {
  automatic,    ///< as choose_way() says
  enumeration,  ///< all sequences are known
  rejection,    ///< draws of p0, kept with probability phi / max phi
  joint,        ///< one sample, with which the continuation was drawn
  none,         ///< not at all, or they cannot be
};
constexpr auto names_of(Way) {
  return std::array{Named{Way::automatic, "auto"}, Named{Way::enumeration, "enumeration"},
                    Named{Way::rejection, "rejection"}, Named{Way::joint, "joint"}, Named{Way::none, "none"}};
}

struct Options {
  Way source = Way::automatic;
  std::int64_t count = 1000;        ///< samples to make
  std::int64_t budget = 1'000'000;  ///< most sequences that rejection draws
  std::string path;                 ///< empty: exact.h5 in the run's folder
  void visit_keys(const config::Visitor& visit);
};

/// Throws Error(config) if they cannot be for a target of that target.beta.
void validate(const Options& options, double beta, const std::string& doing);

}  // namespace twistor::exact
