// SPDX-License-Identifier: Apache-2.0
// Runs CUDA kernels on the CPU, every CUDA thread as a fiber, to check what a GPU would do without having
// one: barriers that not all threads reach and writing beyond shared memory are errors, shared memory starts
// as NaN, and threads may run in any order. Private to the device room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace twistor::device::emulator {

struct Launch {
  std::int64_t n_blocks = 0;
  int n_threads = 0;
  std::size_t shared_bytes = 0;
  /// 0: threads of a block run in order; else in an order of that number.
  std::uint64_t shuffle = 0;
};

/// Calls `thread` once for every thread of every block; blocks run on the OpenMP threads. Throws
/// Error(internal) naming the block where a barrier was reached by some threads only, or by all but those
/// that have returned, or where the bytes after shared memory were written. *Local.*
void run(const Launch& launch, const std::function<void()>& thread);

/// Order of threads of launches to come that ask for none themselves; for tests.
void set_shuffle(std::uint64_t order);

// What a kernel sees, only while it runs.
[[nodiscard]] std::int64_t block_index();
[[nodiscard]] int thread_index();
[[nodiscard]] int n_threads();
[[nodiscard]] std::byte* shared_memory();
void synchronise_block();
/// `mine` of the lane whose number differs by `mask`; all 32 lanes of the warp call it.
[[nodiscard]] double exchange(double mine, int mask);

}  // namespace twistor::device::emulator
