// SPDX-License-Identifier: Apache-2.0
// The keys sample.*.
#include "twistor/config/make_key.hpp"
#include "twistor/report/sample_file.hpp"

namespace twistor::report {

void SampleOptions::visit_keys(const config::Visitor& visit) {
  using config::Choice, config::count_from, config::key;
  visit(key("count", "sequences to draw", count_from(1)), &count);
  visit(key("from", "one particle of each of count populations, or all particles with weights"),
        Choice(from));
  visit(key("moves", "conditional sweeps by which each draw moves on (particle Gibbs)", {0, 1000000}),
        &moves);
  visit(key("unique", "write repeated texts once, with their number"), &unique);
  visit(key("top", "write only so many, the best by log phi (draws) or weight (population); 0: all",
            count_from(0)),
        &top);
  visit(key("format", "format of the file"), Choice(format));
  visit(key("path", "file to write, empty: run.output/samples.jsonl or .csv"), &path);
}

}  // namespace twistor::report
