// SPDX-License-Identifier: Apache-2.0
// The signal flag.
#include "twistor/comm/signals.hpp"

#include <csignal>

#include "twistor/comm/collectives.hpp"

namespace twistor::comm {
namespace {

volatile std::sig_atomic_t pending = 0;  // a handler can reach nothing but a global

void remember(int signal) {
  // Whoever presses Ctrl-C again does not want to wait for what is being saved.
  if (signal == SIGINT && pending == SIGINT) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  pending = signal;
}

}  // namespace

void watch_signals() {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) std::signal(signal, &remember);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that is too large is an error of the write, which says so
}

int pending_signal() noexcept {
  return pending;
}

int agreed_signal(const Communicator& world) {
  return all_reduce_max(pending_signal(), world);
}

}  // namespace twistor::comm
