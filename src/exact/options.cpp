// SPDX-License-Identifier: Apache-2.0
// The keys exact.*, and what belongs together.
#include "twistor/exact/options.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/config/make_key.hpp"

namespace twistor::exact {

void Options::visit_keys(const config::Visitor& visit) {
  using config::count_from, config::key, config::learning;
  visit(learning(key("source", "how exact samples are made")), config::Choice(source));
  visit(learning(key("count", "exact samples to make", count_from(1))), &count);
  visit(key("budget", "most sequences that rejection draws", count_from(1)), &budget);
  visit(key("path", "file of exact samples, empty: run.output/exact.h5"), &path);
}

void validate(const Options& options, double beta, const std::string& doing) {
  TWISTOR_CHECK(
      options.source != Way::joint || beta == 1, ErrorKind::config, doing,
      fmt::format("exact.source = joint gives samples of p0(s) p0(o | s), and target.beta is {}", beta),
      "set target.beta = 1, or exact.source = rejection or enumeration");
}

}  // namespace twistor::exact
