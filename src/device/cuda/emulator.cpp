// SPDX-License-Identifier: Apache-2.0
// Fibers that serve one block after another, and a scheduler for each block at work.
#include "emulator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "emulator_fibers.hpp"
#include "emulator_races.hpp"
#include "twistor/base/error.hpp"

namespace twistor::device::emulator {
namespace {

constexpr int lanes = 32;
constexpr std::size_t guard_bytes = 256;
constexpr std::byte nothing{0xff};  // numbers of which are NaN

enum class State { ready, at_block_barrier, at_warp_barrier, done };

std::atomic<std::uint64_t> default_shuffle{0};

using Fibers = std::vector<std::unique_ptr<Fiber>>;

/// Those that wait for work on this thread of the host: making one takes longer than most of their work.
Fibers& idle_fibers() {
  thread_local Fibers idle;
  return idle;
}

/// One block: its fibers, and who waits for what.
class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& thread)
      : n_(launch.n_threads),
        thread_(thread),
        state_(static_cast<std::size_t>(n_)),
        values_(static_cast<std::size_t>(n_)),
        order_(static_cast<std::size_t>(n_)),
        shared_bytes_(launch.shared_bytes) {
    std::iota(order_.begin(), order_.end(), 0);
    const std::uint64_t shuffle = launch.shuffle != 0 ? launch.shuffle : default_shuffle.load();
    if (shuffle != 0) std::shuffle(order_.begin(), order_.end(), std::mt19937_64(shuffle));
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() {
    if (!RaceWatch::is_on) std::ranges::move(fibers_, std::back_inserter(idle_fibers()));
  }

  void run(std::int64_t index) {
    index_ = index;
    std::fill(state_.begin(), state_.end(), State::ready);
    if (shared_.empty() || RaceWatch::is_on) shared_.emplace_back(shared_bytes_ + guard_bytes);
    std::ranges::fill(shared_.back(), nothing);
    take_fibers();
    races_.begin_block(n_);
    while (true) {
      for (const int i : order_)
        if (state(i) == State::ready) resume(i);
      if (std::ranges::all_of(state_, [](State s) { return s == State::done; })) break;
      release();
    }
    check_guard();
  }

  void wait(State why) {
    const int me = current_;
    void* const place = races_.arrive(me, why == State::at_block_barrier ? 0 : 1 + me / lanes);
    state(me) = why;
    give_way(me);
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
  [[nodiscard]] std::byte* shared() { return shared_.back().data(); }

 private:
  State& state(int i) { return state_[static_cast<std::size_t>(i)]; }

  /// Where races are looked for, blocks do not even have the places of their variables in common.
  void take_fibers() {
    if (RaceWatch::is_on) {
      std::ranges::move(fibers_, std::back_inserter(spent_));
      fibers_.clear();
    }
    Fibers& idle = idle_fibers();
    while (fibers_.size() < static_cast<std::size_t>(n_)) {
      if (idle.empty()) idle.push_back(std::make_unique<Fiber>(&Block::work));
      fibers_.push_back(std::move(idle.back()));
      idle.pop_back();
    }
  }
  /// What every fiber does: one CUDA thread of the block at work after another.
  static void work();
  void resume(int i) {
    current_ = i;
    races_.to_fiber(i);
    fibers_[static_cast<std::size_t>(i)]->resume();
  }
  void give_way(int me) {
    races_.to_scheduler();
    fibers_[static_cast<std::size_t>(me)]->give_way();
  }

  /// Sees who has written, but not who has read, a little beyond shared memory.
  void check_guard() const {
    const auto guard = std::span(shared_.back()).subspan(shared_bytes_);
    const auto first = std::ranges::find_if(guard, [](std::byte b) { return b != nothing; });
    if (first == guard.end()) return;
    throw Error(ErrorKind::internal, "emulating a CUDA kernel",
                fmt::format("block {} has written byte {} of its {} of shared memory", index_,
                            shared_bytes_ + static_cast<std::size_t>(first - guard.begin()), shared_bytes_));
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
    std::ranges::move(fibers_, std::back_inserter(spent_));  // some are within a kernel for ever
    fibers_.clear();
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
  std::vector<State> state_;
  std::vector<double> values_;
  std::vector<int> order_;
  std::size_t shared_bytes_;
  std::vector<std::vector<std::byte>> shared_;  // the last is in use
  Fibers fibers_, spent_;
  RaceWatch races_;  // goes first: memory is free only when all who used it have ended
};

thread_local Block* at_work = nullptr;

void Block::work() {
  while (true) {
    Block& block = *at_work;
    const int me = block.current_;
    block.races_.begin_thread();
    block.thread_();
    block.state(me) = State::done;
    block.races_.end_thread();
    block.give_way(me);
  }
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
