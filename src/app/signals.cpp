// The signal flag.
#include "twistor/app/signals.hpp"

#include <csignal>

namespace twistor::app {
namespace {

volatile std::sig_atomic_t pending = 0;  // a handler can reach nothing but a global

void remember(int signal) {
  pending = signal;
}

}  // namespace

void watch_signals() {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) std::signal(signal, &remember);
}

int pending_signal() noexcept {
  return pending;
}

}  // namespace twistor::app
