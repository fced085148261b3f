// SPDX-License-Identifier: Apache-2.0
// Refuses a processor below x86-64-v3 with a message. Compiled for any x86-64, and run before all other
// initialisers of the program, which may hold instructions that such a processor lacks.
#include <unistd.h>

#include "twistor/device/require.hpp"

namespace twistor::device {

void require_x86_64_v3() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return;
  static constexpr char message[] =
      "twistor: starting: this processor has no AVX2, FMA and BMI2 (x86-64-v3), which twistor is built for\n"
      "hint: run on a processor of Intel Haswell (2013), AMD Zen (2017) or later\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message, sizeof message - 1);
  _exit(78);
}

namespace {
[[gnu::constructor(101)]] void require_at_start() {
  require_x86_64_v3();
}
}  // namespace

}  // namespace twistor::device
