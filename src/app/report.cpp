// SPDX-License-Identifier: Apache-2.0
// `twistor report`: pages to look at, made anew, and runs in one table.
#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/config/paths.hpp"
#include "twistor/report/html_report.hpp"
#include "twistor/report/json_line.hpp"

namespace twistor::app {

int report(const Invocation& invocation) {
  const bool is_page = invocation.page_format == report::CompareFormat::html;
  for (const std::filesystem::path& run : invocation.paths)
    if (is_page) fmt::print("{}\n", report::write_html_report(run).string());
  if (is_page && invocation.paths.size() == 1) return 0;
  report::CompareOptions options{invocation.by, invocation.page_format};
  if (!invocation.beside.empty()) options.beside = config::output_path(invocation.beside);
  const std::string text = report::comparison_of(invocation.paths, options);
  const std::string file = invocation.output.empty() && is_page ? "comparison.html" : invocation.output;
  if (!file.empty()) report::write_text_atomically(config::output_path(file).string(), text);
  fmt::print("{}", file.empty() ? text : file + "\n");
  return 0;
}

}  // namespace twistor::app
