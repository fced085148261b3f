// SPDX-License-Identifier: Apache-2.0
// `twistor report`: pages to look at, made anew.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/report/html_report.hpp"

namespace twistor::app {

int report(const Invocation& invocation) {
  for (const std::filesystem::path& run : invocation.paths)
    fmt::print("{}\n", report::write_html_report(run).string());
  return 0;
}

}  // namespace twistor::app
