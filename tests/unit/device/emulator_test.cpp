// SPDX-License-Identifier: Apache-2.0
// The emulator of GPUs: what it must find, and that kernels give the same bits in any order and any batch.
#include "device/cuda/emulator.hpp"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <vector>

#include "support/error_of.hpp"
#include "support/kernel_problem.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/kernel_engine.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {
namespace {

using test::KernelProblem;
using testing::HasSubstr;

TEST(Emulator, RunsEveryThreadOfEveryBlockOnce) {
  std::vector<std::atomic<int>> count(7 * 96);
  emulator::run({7, 96, 0, 0}, [&] {
    ++count[static_cast<std::size_t>(emulator::block_index() * emulator::n_threads() +
                                     emulator::thread_index())];
  });
  for (const auto& c : count) EXPECT_EQ(c.load(), 1);
}

TEST(Emulator, BarriersAndExchangesHoldInEveryOrder) {
  for (const std::uint64_t order : {0, 1, 2, 3}) {
    std::vector<double> sums(64);
    emulator::run({1, 64, 64 * sizeof(double), order}, [&] {
      auto* const shared = reinterpret_cast<double*>(emulator::shared_memory());
      const int me = emulator::thread_index();
      shared[me] = me;
      emulator::synchronise_block();
      double sum = shared[63 - me];  // written by another warp
      for (int mask = 16; mask > 0; mask /= 2) sum += emulator::exchange(sum, mask);
      sums[static_cast<std::size_t>(me)] = sum;
    });
    for (int i = 0; i < 64; ++i) EXPECT_EQ(sums[static_cast<std::size_t>(i)], i < 32 ? 1520 : 496);
  }
}

TEST(Emulator, FindsABarrierThatSomeThreadsMiss) {
  const auto text = [](const std::function<void()>& thread) {
    return test::message_of([&] { emulator::run({3, 64, 0, 0}, thread); });
  };
  EXPECT_THAT(text([] {
                if (emulator::thread_index() < 20) emulator::synchronise_block();
              }),
              HasSubstr("20 of 64 threads wait for the block, 0 for their warp, 44 have returned"));
  EXPECT_THAT(text([] {
                if (emulator::thread_index() % 2 == 0) (void)emulator::exchange(1, 1);
              }),
              HasSubstr("32 for their warp, 32 have returned"));
}

TEST(Emulator, FindsWritingBeyondSharedMemory) {
  const auto write_to = [](int at) {
    emulator::run({4, 32, 10 * sizeof(float), 0}, [at] {
      auto* const shared = reinterpret_cast<float*>(emulator::shared_memory());
      if (emulator::block_index() == 2 && emulator::thread_index() == 7) shared[at] = 1;
    });
  };
  EXPECT_NO_THROW(write_to(9));
  EXPECT_THAT(test::message_of([&] { write_to(10); }),
              HasSubstr("block 2 has written byte 40 of its 40 of shared memory"));
}

// Threads that wait for ever leave their stacks to nobody.
TEST(Emulator, WorksOnAfterAnError) {
  for (const int n_threads : {96, 32, 64}) {
    EXPECT_THROW(emulator::run({2, n_threads, 0, 0},
                               [] {
                                 if (emulator::thread_index() < 20) emulator::synchronise_block();
                               }),
                 Error);
    std::vector<std::atomic<int>> count(static_cast<std::size_t>(5 * n_threads));
    emulator::run({5, n_threads, 0, 0}, [&] {
      emulator::synchronise_block();
      ++count[static_cast<std::size_t>(emulator::block_index() * n_threads + emulator::thread_index())];
    });
    for (const auto& c : count) EXPECT_EQ(c.load(), 1);
  }
}

TEST(Emulator, SharedMemoryStartsAsNaNInEveryBlock) {
  std::atomic<int> n_nan = 0;
  emulator::run({5, 32, 32 * sizeof(float), 0}, [&] {
    auto* const shared = reinterpret_cast<float*>(emulator::shared_memory());
    n_nan += std::isnan(shared[2 * (emulator::thread_index() / 2) + 1]) ? 1 : 0;
    emulator::synchronise_block();
    shared[emulator::thread_index()] = 1;
  });
  EXPECT_EQ(n_nan.load(), 5 * 32);
}

constexpr std::int64_t n = KernelProblem::n, D = KernelProblem::D;

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.nbytes() == b.nbytes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(), a.nbytes()) == 0;
}

TEST(EmulatedKernels, HaveTheSameBitsInEveryOrderOfThreads) {
  const KernelProblem p;
  const std::vector<std::int64_t> row_of{0, 1, 2, 3, 4, 4};
  const std::vector<double> u{0.1, 0.5, 0.9, 0.999, 0.3, 0.0001};
  const auto answers = [&] {
    const ScoreRows rows = p.scores();
    const ScoreSums sums = p.engine->vocabulary()->sum(rows);
    const at::Tensor drawn = p.engine->vocabulary()->draw(
        rows, sums.blocks, sums.drawn, {to_device(row_of, at::kCPU), to_device(u, at::kCPU), {}});
    return std::vector<at::Tensor>{sums.blocks,   sums.of_a, sums.drawn, drawn, p.norm(p.random({n, D}, 3)),
                                   p.attention(), p.adam()};
  };
  const std::vector<at::Tensor> wanted = answers();
  for (const std::uint64_t order : {1, 2, 3}) {
    emulator::set_shuffle(order);
    const std::vector<at::Tensor> got = answers();
    emulator::set_shuffle(0);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(same_bits(got[i], wanted[i])) << i;
  }
}

TEST(EmulatedKernels, GiveARowTheSameBitsAloneAndInABatch) {
  const KernelProblem p;
  const at::Tensor x = p.random({n, D}, 3), all = p.norm(x);
  const ScoreRows rows = p.scores();
  const ScoreSums sums = p.engine->vocabulary()->sum(rows);
  for (std::int64_t r = 0; r < n; ++r) {
    EXPECT_TRUE(same_bits(p.norm(x.narrow(0, r, 1)), all.narrow(0, r, 1)));
    const ScoreSums alone =
        p.engine->vocabulary()->sum({rows.a.narrow(0, r, 1), rows.b.narrow(0, r, 1), rows.beta, true});
    EXPECT_TRUE(same_bits(alone.blocks, sums.blocks.narrow(0, r, 1)));
    EXPECT_TRUE(same_bits(alone.drawn, sums.drawn.narrow(0, r, 1)));
  }
}

}  // namespace
}  // namespace twistor::device
