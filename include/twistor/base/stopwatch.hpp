// SPDX-License-Identifier: Apache-2.0
// Wall time that never goes back: how long something took.
#pragma once

#include <chrono>

namespace twistor {

/// Runs from the moment it is made. *Local.*
class Stopwatch {
 public:
  /// Since it was made or last restarted.
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  void restart() { begin_ = std::chrono::steady_clock::now(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// Adds the seconds of its life to a counter. *Local.*
class StageTimer {
 public:
  explicit StageTimer(double& seconds) : seconds_(seconds) {}
  ~StageTimer() { seconds_ += watch_.seconds(); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  double& seconds_;
  Stopwatch watch_;
};

/// Calls `body` and returns what it returns, and adds its seconds to a counter. *Local.*
template <class Body>
decltype(auto) timed(double& seconds, Body&& body) {
  const StageTimer timer(seconds);
  return body();
}

/// How long `body` takes. *Local.*
template <class Body>
[[nodiscard]] double seconds_of(Body&& body) {
  const Stopwatch watch;
  body();
  return watch.seconds();
}

}  // namespace twistor
