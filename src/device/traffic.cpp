// SPDX-License-Identifier: Apache-2.0
// The counters; several threads may move and launch.
#include "twistor/device/traffic.hpp"

#include <atomic>

namespace twistor::device {
namespace {

struct Counts {
  std::atomic<std::int64_t> up, up_bytes, down, down_bytes, launches, replays;
};
Counts counts;

void add(std::atomic<std::int64_t>& count, std::int64_t n) {
  count.fetch_add(n, std::memory_order_relaxed);
}

}  // namespace

Traffic traffic() {
  return {counts.up, counts.up_bytes, counts.down, counts.down_bytes, counts.launches, counts.replays};
}
void count_up(std::int64_t bytes) {
  add(counts.up, 1);
  add(counts.up_bytes, bytes);
}
void count_down(std::int64_t bytes) {
  add(counts.down, 1);
  add(counts.down_bytes, bytes);
}
void count_launch() {
  add(counts.launches, 1);
}
void count_replay() {
  add(counts.replays, 1);
}

}  // namespace twistor::device
