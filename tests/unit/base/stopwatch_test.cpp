// SPDX-License-Identifier: Apache-2.0
// Stopwatches count what a sleep is known to take at least.
#include "twistor/base/stopwatch.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace twistor {
namespace {

constexpr double nap_s = 0.02;

void nap() {
  std::this_thread::sleep_for(std::chrono::duration<double>(nap_s));
}

TEST(Stopwatch, RunsFromItsStartOrRestart) {
  Stopwatch watch;
  nap();
  const double first = watch.seconds();
  EXPECT_GE(first, nap_s);
  EXPECT_GE(watch.seconds(), first);
  nap();
  const Stopwatch outer = watch;
  watch.restart();
  EXPECT_GE(outer.seconds() - watch.seconds(), 2 * nap_s);
}

TEST(StageTimer, AddsToItsCounter) {
  double seconds = 100;
  {
    const StageTimer timer(seconds);
    nap();
    EXPECT_EQ(seconds, 100) << "not before it ends";
  }
  EXPECT_GE(seconds, 100 + nap_s);
}

TEST(Timed, ReturnsWhatTheBodyReturnsAndCountsAThrowToo) {
  double seconds = 0;
  EXPECT_EQ(timed(seconds, [] { return 7; }), 7);
  EXPECT_THROW(timed(seconds,
                     [] {
                       nap();
                       throw 1;
                     }),
               int);
  EXPECT_GE(seconds, nap_s);
  EXPECT_GE(seconds_of(nap), nap_s);
}

}  // namespace
}  // namespace twistor
