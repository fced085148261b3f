// SPDX-License-Identifier: Apache-2.0
// `twistor compare`: finished runs in one table.
#include "twistor/report/compare.hpp"

#include <fmt/format.h>

#include "twistor/app/commands.hpp"
#include "twistor/config/paths.hpp"

namespace twistor::app {

int compare(const Invocation& invocation) {
  const auto path = [](const std::string& given) {
    return given.empty() ? std::filesystem::path{} : config::output_path(given);
  };
  fmt::print("{}",
             report::comparison_of(invocation.paths, {invocation.by, invocation.format,
                                                      path(invocation.beside), path(invocation.output)}));
  return 0;
}

}  // namespace twistor::app
