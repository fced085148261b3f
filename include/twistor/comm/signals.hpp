// SPDX-License-Identifier: Apache-2.0
// SIGTERM, SIGINT and SIGUSR1 as a wish to stop soon, so that a run can save what it has.
#pragma once

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// From now on these signals only set a flag; a second SIGINT ends the process at once. Writing beyond the
/// limit on file sizes (SIGXFSZ) is an error and no longer ends the process without a word. *Local.*
void watch_signals();
/// The signal that came since, 0 if none. *Local*: ranks agree by agreed_signal().
[[nodiscard]] int pending_signal() noexcept;
/// The signal that came to any rank, 0 if none. *Collective over world*, one reduction.
[[nodiscard]] int agreed_signal(const Communicator& world);

}  // namespace twistor::comm
