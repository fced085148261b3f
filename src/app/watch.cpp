// SPDX-License-Identifier: Apache-2.0
// `twistor watch`: a run while it goes on.
#include "twistor/report/watch.hpp"

#include "twistor/app/commands.hpp"
#include "twistor/app/session.hpp"

namespace twistor::app {

int watch(const Invocation& invocation) {
  const bool is_finished = report::watch(invocation.paths.front(), {.is_once = invocation.is_once});
  return is_finished || invocation.is_once ? 0 : exit_work_left;
}

}  // namespace twistor::app
