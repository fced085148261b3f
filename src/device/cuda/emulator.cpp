// SPDX-License-Identifier: Apache-2.0
// Fibers by ucontext, one scheduler for each block at work.
#include "emulator.hpp"

#include <fmt/format.h>
#include <ucontext.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "emulator_races.hpp"
#include "twistor/base/error.hpp"

namespace twistor::device::emulator {
namespace {

constexpr int lanes = 32;
constexpr std::size_t stack_bytes = std::size_t{64} << 10;

enum class State { ready, at_block_barrier, at_warp_barrier, done };

std::atomic<std::uint64_t> default_shuffle{0};

/// One block: its fibers, and who waits for what.
class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& thread)
      : n_(launch.n_threads),
        thread_(thread),
        fibers_(static_cast<std::size_t>(n_)),
        state_(static_cast<std::size_t>(n_)),
        values_(static_cast<std::size_t>(n_)),
        order_(static_cast<std::size_t>(n_)),
        n_shared_(launch.shared_bytes / sizeof(double) + 1) {
    std::iota(order_.begin(), order_.end(), 0);
    const std::uint64_t shuffle = launch.shuffle != 0 ? launch.shuffle : default_shuffle.load();
    if (shuffle != 0) std::shuffle(order_.begin(), order_.end(), std::mt19937_64(shuffle));
  }

  void run(std::int64_t index) {
    index_ = index;
    std::fill(state_.begin(), state_.end(), State::ready);
    // Where races are looked for, blocks do not even have the places of their variables in common.
    if (memory_.empty() || RaceWatch::is_on)
      memory_.push_back({std::make_unique<std::byte[]>(stack_bytes * static_cast<std::size_t>(n_)),
                         std::vector<double>(n_shared_)});
    std::ranges::fill(memory_.back().shared, std::numeric_limits<double>::signaling_NaN());
    races_.begin_block(n_);
    for (int i = 0; i < n_; ++i) prepare(i);
    while (true) {
      for (const int i : order_)
        if (state(i) == State::ready) resume(i);
      if (std::ranges::all_of(state_, [](State s) { return s == State::done; })) return;
      release();
    }
  }

  void wait(State why) {
    const int me = current_;
    void* const place = races_.arrive(me, why == State::at_block_barrier ? 0 : 1 + me / lanes);
    state(me) = why;
    races_.to_scheduler();
    swapcontext(&fibers_[static_cast<std::size_t>(me)], &scheduler_);
    races_.leave(place);
  }
  double exchange(double mine, int mask) {
    values_[static_cast<std::size_t>(current_)] = mine;
    wait(State::at_warp_barrier);
    const double theirs = values_[static_cast<std::size_t>(current_ ^ mask)];
    wait(State::at_warp_barrier);  // before anybody writes again
    return theirs;
  }

  [[nodiscard]] std::int64_t index() const { return index_; }
  [[nodiscard]] int current() const { return current_; }
  [[nodiscard]] int size() const { return n_; }
  [[nodiscard]] std::byte* shared() { return reinterpret_cast<std::byte*>(memory_.back().shared.data()); }

 private:
  State& state(int i) { return state_[static_cast<std::size_t>(i)]; }

  void prepare(int i) {
    ucontext_t& fiber = fibers_[static_cast<std::size_t>(i)];
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = memory_.back().stacks.get() + stack_bytes * static_cast<std::size_t>(i);
    fiber.uc_stack.ss_size = stack_bytes;
    fiber.uc_link = &scheduler_;
    makecontext(&fiber, &Block::enter, 0);
  }
  static void enter();
  void resume(int i) {
    current_ = i;
    races_.to_fiber(i);
    swapcontext(&scheduler_, &fibers_[static_cast<std::size_t>(i)]);
  }

  /// Lets a block or warps go on whose threads have all arrived.
  void release() {
    if (std::ranges::all_of(state_, [](State s) { return s == State::at_block_barrier; })) {
      std::fill(state_.begin(), state_.end(), State::ready);
      return;
    }
    bool any = false;
    for (int warp = 0; warp < n_; warp += lanes) {
      const auto begin = state_.begin() + warp, end = state_.begin() + std::min(warp + lanes, n_);
      if (!std::all_of(begin, end, [](State s) { return s == State::at_warp_barrier; })) continue;
      std::fill(begin, end, State::ready);
      any = true;
    }
    if (any) return;
    const auto count = [&](State s) { return std::ranges::count(state_, s); };
    throw Error(
        ErrorKind::internal, "emulating a CUDA kernel",
        fmt::format("divergent barrier in block {}: {} of {} threads wait for the block, {} for their "
                    "warp, {} have returned",
                    index_, count(State::at_block_barrier), n_, count(State::at_warp_barrier),
                    count(State::done)));
  }

  int n_;
  const std::function<void()>& thread_;
  std::int64_t index_ = 0;
  int current_ = 0;
  ucontext_t scheduler_{};
  std::vector<ucontext_t> fibers_;
  std::vector<State> state_;
  std::vector<double> values_;
  std::vector<int> order_;
  struct Memory {
    std::unique_ptr<std::byte[]> stacks;
    std::vector<double> shared;
  };
  std::size_t n_shared_;
  std::vector<Memory> memory_;  // the last is in use
  RaceWatch races_;             // goes first: memory is free only when all who used it have ended
};

thread_local Block* at_work = nullptr;

void Block::enter() {
  Block& block = *at_work;
  block.races_.begin_thread();
  block.thread_();
  block.state(block.current_) = State::done;
  block.races_.end_thread();
  block.races_.to_scheduler();
}

}  // namespace

void run(const Launch& launch, const std::function<void()>& thread) {
  std::exception_ptr failure;
#pragma omp parallel
  {
    Block block(launch, thread);
#pragma omp for schedule(dynamic, 4)
    for (std::int64_t i = 0; i < launch.n_blocks; ++i) {
      at_work = &block;
      try {
        block.run(i);
      } catch (...) {
#pragma omp critical(twistor_emulator_failure)
        if (failure == nullptr) failure = std::current_exception();
      }
      at_work = nullptr;
    }
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

void set_shuffle(std::uint64_t order) {
  default_shuffle = order;
}

std::int64_t block_index() {
  return at_work->index();
}
int thread_index() {
  return at_work->current();
}
int n_threads() {
  return at_work->size();
}
std::byte* shared_memory() {
  return at_work->shared();
}
void synchronise_block() {
  at_work->wait(State::at_block_barrier);
}
double exchange(double mine, int mask) {
  return at_work->exchange(mine, mask);
}

}  // namespace twistor::device::emulator
