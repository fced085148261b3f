// SPDX-License-Identifier: Apache-2.0
// What ThreadSanitizer is told of the emulator's fibers, in the build that looks for races
// (TWISTOR_EMULATOR_RACES); elsewhere nothing. The emulator itself must not be instrumented there. Private to
// the device room.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#ifdef TWISTOR_EMULATOR_RACES
#include <sanitizer/tsan_interface.h>
#endif

namespace twistor::device::emulator {

#ifdef TWISTOR_EMULATOR_RACES

/// Of the blocks that one thread of the host works off. Threads of one block are ordered by its barriers,
/// blocks of a launch by nothing: each has fibers of its own, which know of the others only what was there
/// before the launch.
class RaceWatch {
 public:
  static constexpr bool is_on = true;

  ~RaceWatch() { __tsan_acquire(&end_); }
  void begin_block(int n_threads) {
    // Those of earlier launches serve again: making one takes long.
    thread_local std::vector<void*> all;
    while (all.size() < n_used_ + static_cast<std::size_t>(n_threads)) all.push_back(__tsan_create_fiber(0));
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(n_used_);
    fibers_.assign(first, first + n_threads);
    n_used_ += fibers_.size();
    n_barriers_.assign(fibers_.size(), {});
    barriers_.assign(2 * (fibers_.size() + 1), 0);
    __tsan_release(&start_);
  }
  /// Before the scheduler changes to a fiber, and back; `no_sync`, because changing orders nothing.
  void to_fiber(int i) const { __tsan_switch_to_fiber(fibers_[static_cast<std::size_t>(i)], no_sync); }
  void to_scheduler() const { __tsan_switch_to_fiber(scheduler_, no_sync); }
  void begin_thread() { __tsan_acquire(&start_); }
  void end_thread() { __tsan_release(&end_); }
  /// A thread's next barrier of a group: 0 for the block, else a warp's. Of two barriers in a row each has a
  /// place of its own, since the first to leave one may reach the next before the last has left.
  [[nodiscard]] void* arrive(int thread, int group) {
    const int turn = n_barriers_[static_cast<std::size_t>(thread)][group == 0 ? 0 : 1]++ % 2;
    void* const place = &barriers_[static_cast<std::size_t>(2 * group + turn)];
    __tsan_release(place);
    return place;
  }
  void leave(void* place) const { __tsan_acquire(place); }

 private:
  static constexpr unsigned no_sync = 1;
  void* scheduler_ = __tsan_get_current_fiber();
  std::vector<void*> fibers_;                   // of the block at work
  std::size_t n_used_ = 0;                      // by blocks of this launch
  std::vector<std::array<int, 2>> n_barriers_;  // of each thread: the block's, its warp's
  std::vector<double> barriers_;                // places: two for each group
  double start_ = 0, end_ = 0;
};

#else

class RaceWatch {
 public:
  static constexpr bool is_on = false;
  void begin_block(int) {}
  void to_fiber(int) const {}
  void to_scheduler() const {}
  void begin_thread() {}
  void end_thread() {}
  [[nodiscard]] void* arrive(int, int) { return nullptr; }
  void leave(void*) const {}
};

#endif

}  // namespace twistor::device::emulator
