// SPDX-License-Identifier: Apache-2.0
// The kernels on the emulator.
#include <array>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "kernels.cuh"
#include "twistor/device/traffic.hpp"

namespace twistor::device::cuda {
namespace {

class EmulatedRecording final : public Recording {
 public:
  void replay() const override {
    count_replay();
    for (const auto& launch : launches) launch();
  }
  std::vector<std::function<void()>> launches;
};

thread_local std::shared_ptr<EmulatedRecording> recording;

void do_or_record(std::function<void()> launch) {
  count_launch();
  if (recording != nullptr)
    recording->launches.push_back(std::move(launch));
  else
    launch();
}

void begin_recording() {
  recording = std::make_shared<EmulatedRecording>();
}
std::shared_ptr<const Recording> end_recording() {
  return std::exchange(recording, nullptr);
}

template <class Task>
void launch(std::int64_t n_blocks, int n_threads, std::int64_t shared_bytes, void (*kernel)(Task),
            const Task& task) {
  if (n_blocks == 0) return;
  do_or_record([=] {
    emulator::run({n_blocks, n_threads, static_cast<std::size_t>(shared_bytes), 0}, [&] { kernel(task); });
  });
}

#define TWISTOR_LAUNCH(kernel, n_blocks, n_threads, shared_bytes, task) \
  launch(n_blocks, n_threads, shared_bytes, &kernel, task)
#include "launchers.inc"
#undef TWISTOR_LAUNCH

/// What the library of products gives on a GPU: sums in a fixed order, whatever the batch.
template <class E>
float dot_product(const E* a, const E* b, std::int64_t k) {
  constexpr std::int64_t lanes = 16;
  std::array<float, lanes> sums{};
  for (std::int64_t i = 0; i < k / lanes * lanes; i += lanes)
    for (std::int64_t l = 0; l < lanes; ++l)
      sums[static_cast<std::size_t>(l)] += wide(a[i + l]) * wide(b[i + l]);
  float sum = 0;
  for (const float part : sums) sum += part;
  for (std::int64_t i = k / lanes * lanes; i < k; ++i) sum += wide(a[i]) * wide(b[i]);
  return sum;
}
template <class E>
void multiply(const ProductTask& t) {
#pragma omp parallel for schedule(static)
  for (std::int64_t c = 0; c < t.columns; ++c)
    for (std::int64_t r = 0; r < t.n; ++r) {
      const float sum =
          dot_product(static_cast<const E*>(t.x) + r * t.k, static_cast<const E*>(t.w) + c * t.k, t.k) +
          (t.bias != nullptr ? t.bias[c] : 0.0f);
      float& y = t.y[r * t.ldy + c];
      y = t.accumulate ? y + sum : sum;
    }
}
void copy(const CopyTask& t) {
  do_or_record([t] {
    for (std::int64_t r = 0; r < t.rows; ++r)
      std::memcpy(static_cast<std::byte*>(t.to) + r * t.to_pitch,
                  static_cast<const std::byte*>(t.from) + r * t.from_pitch,
                  static_cast<std::size_t>(t.row_bytes));
  });
}
bool product(const ProductTask& t) {
  do_or_record([t] { t.is_bfloat16 ? multiply<Bfloat16>(t) : multiply<float>(t); });
  return true;
}

const char* no_error() {
  return nullptr;
}

}  // namespace

const Launchers& emulated_launchers() {
  static constexpr Launchers table{embed,           add,           copy,       product,  norm, activate,
                                   store,           attend,        block_sums, row_sums, draw, adam,
                                   begin_recording, end_recording, no_error};
  return table;
}

bool fits(const AttendTask& task) {
  constexpr std::int64_t most_shared_bytes = 160
                                             << 10;  // a little less than GPUs of compute capability 8.0 have
  return can_attend(task) && shared_of_attention(task) <= most_shared_bytes;
}

}  // namespace twistor::device::cuda
