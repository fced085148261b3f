// SPDX-License-Identifier: Apache-2.0
// Races in GPU kernels, by ThreadSanitizer on the emulator: those that are planted are found, and there are
// no others.
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "device/cuda/emulator.hpp"
#include "support/kernel_problem.hpp"

namespace {
std::atomic<int> n_reports;
}

/// ThreadSanitizer calls it for each report.
extern "C" void __tsan_on_report(void*) {
  ++n_reports;
}

namespace twistor::device {
namespace {

using test::KernelProblem;

int reports_of(const emulator::Launch& launch, const std::function<void()>& thread) {
  const int before = n_reports;
  emulator::run(launch, thread);
  return n_reports - before;
}

template <class T>
T* shared() {
  return reinterpret_cast<T*>(emulator::shared_memory());
}

TEST(Races, OfAMissingBarrierAreFound) {
  std::vector<double> out(64);
  const auto reverse = [&out](bool has_barrier) {
    return [&out, has_barrier] {
      const int me = emulator::thread_index();
      shared<double>()[me] = me;
      if (has_barrier) emulator::synchronise_block();
      out[static_cast<std::size_t>(me)] = shared<double>()[63 - me];
    };
  };
  EXPECT_EQ(reports_of({1, 64, 64 * sizeof(double), 0}, reverse(true)), 0);
  EXPECT_GT(reports_of({1, 64, 64 * sizeof(double), 0}, reverse(false)), 0);
}

TEST(Races, OfASecondBarrierThatIsMissingAreFound) {
  // The first to leave a barrier writes what the last has not read yet.
  std::vector<double> out(64);
  const auto twice = [&out](bool has_second) {
    return [&out, has_second] {
      const int me = emulator::thread_index();
      for (int turn = 0; turn < 2; ++turn) {
        shared<double>()[me] = me + turn;
        emulator::synchronise_block();
        out[static_cast<std::size_t>(me)] += shared<double>()[63 - me];
        if (has_second) emulator::synchronise_block();
      }
    };
  };
  EXPECT_EQ(reports_of({1, 64, 64 * sizeof(double), 0}, twice(true)), 0);
  EXPECT_GT(reports_of({1, 64, 64 * sizeof(double), 0}, twice(false)), 0);
}

TEST(Races, AWarpsExchangeOrdersItsOwnThreadsAlone) {
  const auto neighbours = [](int distance) {
    return [distance] {
      const int me = emulator::thread_index();
      shared<int>()[me] = me;
      (void)emulator::exchange(1, 1);
      volatile int seen = shared<int>()[me ^ distance];
      (void)seen;
    };
  };
  EXPECT_EQ(reports_of({1, 64, 64 * sizeof(int), 0}, neighbours(3)), 0);
  EXPECT_GT(reports_of({1, 64, 64 * sizeof(int), 0}, neighbours(32)), 0);
}

TEST(Races, BetweenBlocksAreFound) {
  std::vector<int> numbers(8);
  EXPECT_EQ(reports_of({8, 32, 8, 0},
                       [&] {
                         if (emulator::thread_index() == 0)
                           numbers[static_cast<std::size_t>(emulator::block_index())] = 1;
                       }),
            0);
  EXPECT_GT(reports_of({8, 32, 8, 0},
                       [&] {
                         if (emulator::thread_index() == 0) numbers[0] = 1;
                       }),
            0);
}

TEST(Races, ThereAreNoneInTheKernels) {
  const int before = n_reports;
  for (const Precision precision : {Precision::bfloat16, Precision::float32}) {
    const KernelProblem p{precision};
    const Engine& engine = *p.engine;
    const std::vector<std::int64_t> row_of{0, 1, 2, 3, 4, 4};
    const std::vector<double> u{0.1, 0.5, 0.9, 0.999, 0.3, 0.0001};
    const ScoreRows rows = p.scores();
    const ScoreSums sums = engine.vocabulary()->sum(rows);
    (void)engine.vocabulary()->draw(rows, sums.blocks, sums.drawn,
                                    {to_device(row_of, at::kCPU), to_device(u, at::kCPU), {}});
    at::Tensor x = p.norm(p.random({p.n, p.D}, 3));
    (void)p.attention(18, 1);  // over two blocks of the cache
    at::Tensor half;
    engine.activate(ActivationKind::silu, true, x, half);
    engine.add(x, p.random({p.n, p.D}, 4), 0.5F);
    const std::vector<float> table(static_cast<std::size_t>(10 * p.D), 0.25F);
    const Table embedding = engine.make_table(10, p.D, false, [&](std::int64_t row, std::span<float> out) {
      std::copy_n(table.begin() + row * p.D, p.D, out.begin());
    });
    const std::vector<std::int64_t> tokens{1, 2, 2, 7, 9};
    engine.look_up(embedding, tokens, x, true);
    (void)p.adam();
  }
  EXPECT_EQ(n_reports, before) << "ThreadSanitizer's words are above";
}

}  // namespace
}  // namespace twistor::device
