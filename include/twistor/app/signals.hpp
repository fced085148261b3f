// SPDX-License-Identifier: Apache-2.0
// SIGTERM, SIGINT and SIGUSR1 as a wish to stop soon, so that a run can save what it has.
#pragma once

#include "twistor/comm/communicator.hpp"

namespace twistor::app {

/// Exit code of a run that a signal stopped and that goes on when it is started again (sysexits'
/// EX_TEMPFAIL).
inline constexpr int exit_work_left = 75;

/// From now on these signals only set a flag; a second SIGINT ends the process at once. *Local.*
void watch_signals();
/// The signal that came since, 0 if none. *Local*: ranks agree by agreed_signal().
[[nodiscard]] int pending_signal() noexcept;
/// The signal that came to any rank, 0 if none. *Collective over world*, one reduction.
[[nodiscard]] int agreed_signal(const comm::Communicator& world);

/// Thrown by all ranks at the same place once a signal has ended their work and what they had is saved. No
/// failure, so no exception of the standard library: the command ends with exit_work_left.
struct Stopped {
  int signal = 0;
};

}  // namespace twistor::app
