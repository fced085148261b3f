// SIGTERM, SIGINT and SIGUSR1 as a wish to stop soon, so that a run can save what it has.
#pragma once

namespace twistor::app {

/// From now on these signals only set a flag. *Local.*
void watch_signals();
/// The signal that came since, 0 if none. *Local*: ranks agree by a reduction.
[[nodiscard]] int pending_signal() noexcept;

}  // namespace twistor::app
