// SPDX-License-Identifier: Apache-2.0
// The processor that the program needs at the least.
#pragma once

namespace twistor::device {

/// Ends the process with a message and exit code 78 unless the processor has x86-64-v3. A program that refers
/// to this function runs it before its own static initialisers. *Local.*
void require_x86_64_v3();

}  // namespace twistor::device
