// SPDX-License-Identifier: Apache-2.0
// `twistor watch`: a run while it goes on.
#include "twistor/report/watch.hpp"

#include "twistor/app/commands.hpp"
#include "twistor/base/error.hpp"
#include "twistor/run/session.hpp"

namespace twistor::app {

int watch(const Invocation& invocation) {
  const std::filesystem::path& folder = invocation.paths.front();
  const auto wanted = [file = folder / "config.cfg"]() -> std::int64_t {
    try {
      return run::load_config(file, {}).train.updates;
    } catch (const Error&) {  // not written yet, or by another version
      return 0;
    }
  };
  const bool is_finished = report::watch(folder, {.wanted = wanted, .is_once = invocation.is_once});
  return is_finished || invocation.is_once ? 0 : run::exit_work_left;
}

}  // namespace twistor::app
