// SPDX-License-Identifier: Apache-2.0
// `twistor compare`: finished runs in one table.
#include "twistor/report/compare.hpp"

#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/config/paths.hpp"

namespace twistor::app {

int compare(const Invocation& invocation) {
  std::vector<report::RunSummary> runs;
  for (const std::filesystem::path& folder : invocation.paths) runs.push_back(report::read_summary(folder));
  const std::vector<report::ComparedRow> rows = report::compare(runs, invocation.by);
  const report::BesideColumns beside = invocation.beside.empty()
                                           ? report::BesideColumns{}
                                           : report::read_beside(config::output_path(invocation.beside));
  if (!invocation.output.empty()) report::write_comparison(config::output_path(invocation.output), rows);
  fmt::print("{}", report::to_text(rows, invocation.format, beside));
  return 0;
}

}  // namespace twistor::app
