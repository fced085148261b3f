// SPDX-License-Identifier: Apache-2.0
// `twistor scale`: a forecast for many ranks.
#include "twistor/run/scale.hpp"

#include <fmt/format.h>

#include "twistor/app/commands.hpp"

namespace twistor::app {

int scale(const Invocation& invocation) {
  run::Session session(invocation.config, invocation.config_file);
  const run::ScaleForecast forecast = run::forecast(session, invocation.scale);
  if (session.is_root()) fmt::print("{}", run::scale_text(forecast));
  return 0;
}

}  // namespace twistor::app
