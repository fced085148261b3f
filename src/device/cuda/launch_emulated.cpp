// SPDX-License-Identifier: Apache-2.0
// The kernels on the emulator.
#include "kernels.cuh"

namespace twistor::device::cuda {
namespace {

template <class Task>
void launch(std::int64_t n_blocks, int n_threads, std::int64_t shared_bytes, void (*kernel)(Task),
            const Task& task) {
  if (n_blocks > 0)
    emulator::run({n_blocks, n_threads, static_cast<std::size_t>(shared_bytes), 0}, [&] { kernel(task); });
}

#define TWISTOR_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, task) \
  launch(n_blocks, n_threads, shared_bytes, &kernel, task)
#include "launchers.inc"
#undef TWISTOR_LAUNCH

const char* no_error() {
  return nullptr;
}

}  // namespace

const Launchers& emulated_launchers() {
  static constexpr Launchers table{norm, activate, store, attend, block_sums, row_sums, draw, no_error};
  return table;
}

bool fits(const AttendTask& task) {
  constexpr std::int64_t most_shared_bytes = 160
                                             << 10;  // a little less than GPUs of compute capability 8.0 have
  return can_attend(task) && shared_of_attention(task) <= most_shared_bytes;
}

}  // namespace twistor::device::cuda
