// SPDX-License-Identifier: Apache-2.0
// Instruction sets by name, and the promise that float32 kernels give the same bits on all of them.
#include "twistor/device/isa.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/every_isa.hpp"
#include "twistor/base/bfloat16.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::device {
namespace {

using ::testing::HasSubstr;

std::vector<float> random_values(std::int64_t n, std::uint64_t id, double sd = 1) {
  Philox random(1, Stream::test, 0, id);
  std::vector<float> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(static_cast<float>(sd * random.normal()));
  return out;
}

TEST(Isa, HasNames) {
  for (const Isa isa : compiled_isas()) EXPECT_EQ(find_name<Isa>(name_of(isa)), isa);
  EXPECT_EQ(find_name<Isa>("sse2"), std::nullopt);
  EXPECT_EQ(choose_isa(""), best_isa());
  EXPECT_EQ(choose_isa("avx2"), Isa::avx2);
}

TEST(Isa, RefusesWhatIsNotThere) {
  try {
    (void)choose_isa("sse9");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.text(), HasSubstr("TWISTOR_ISA=sse9 is not known (expected avx2"));
  }
  for (const Isa isa : compiled_isas())
    if (isa > best_isa()) {
      EXPECT_THROW((void)choose_isa(name_of(isa)), Error);
    }
}

TEST(Isa, UseChangesTheKernels) {
  const Isa before = isa_in_use();
  test::with_every_isa([](Isa isa) { EXPECT_EQ(isa_in_use(), isa); });
  EXPECT_EQ(isa_in_use(), before);
}

TEST(KernelBits, RowsAreTheSameOnAllSets) {
  const std::int64_t n = 67;
  const std::vector<float> x = random_values(n, 1, 3), weight = random_values(n, 2),
                           bias = random_values(n, 3);
  const auto in_place = [&](auto kernel) {
    test::same_with_every_isa([&] {
      std::vector<float> y = x;
      kernel(y.data());
      return y;
    });
  };
  in_place([&](float* y) { kernels().layer_norm(y, weight.data(), bias.data(), 1e-5f, n, y); });
  in_place([&](float* y) { kernels().rms_norm(y, weight.data(), 1e-5f, n, y); });
  in_place([&](float* y) { kernels().gelu_tanh(y, n); });
  in_place([&](float* y) { kernels().gelu_erf(y, n); });
  in_place([&](float* y) { kernels().relu(y, n); });
  in_place([&](float* y) { kernels().tanh(y, n); });
  in_place([&](float* y) { kernels().silu(y, n); });
  in_place([&](float* y) { kernels().soft_cap(y, n, 2.0f); });
  in_place([&](float* y) { kernels().times(y, weight.data(), n, y); });
  in_place([&](float* y) { kernels().rotate(y, weight.data(), bias.data(), n / 2, false); });
  in_place([&](float* y) { kernels().rotate(y, weight.data(), bias.data(), n / 2, true); });
}

TEST(KernelBits, SumsOverTheVocabularyAreTheSameOnAllSets) {
  std::vector<float> x = random_values(1001, 4, 10);
  x[5] = -std::numeric_limits<float>::infinity();
  const float top = test::same_with_every_isa([&] { return kernels().max_of(x.data(), 1001); });
  EXPECT_EQ(top, *std::max_element(x.begin(), x.end()));
  const float sum = test::same_with_every_isa([&] { return kernels().sum_exp(x.data(), 1001, top); });
  double exact = 0;
  for (const float v : x) exact += std::exp(static_cast<double>(v) - static_cast<double>(top));
  EXPECT_NEAR(static_cast<double>(sum), exact, 1e-5 * exact);
  const std::vector<float> e = test::same_with_every_isa([&] {
    std::vector<float> out(x.size());
    kernels().exp_of(x.data(), 1001, top, out.data());
    return out;
  });
  EXPECT_EQ(e[5], 0.0f);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double value = std::exp(static_cast<double>(x[i] - top));  // the difference is rounded first
    EXPECT_NEAR(static_cast<double>(e[i]), value, 3e-7 * value + 1e-38) << x[i];
  }
}

/// Attention of some heads over two and a half blocks, computed plainly in float64.
struct HeadsProblem {
  HeadsProblem(std::int64_t n_heads, std::int64_t head_size, bool is_bfloat16)
      : heads(n_heads), size(head_size), padded((size + 15) / 16 * 16), has_halves(is_bfloat16) {
    q = random_values(heads * size, 5);
    for (int b = 0; b < 3; ++b) {
      std::vector<float> values = random_values((size + padded) * 16, 6 + static_cast<std::uint64_t>(b));
      if (has_halves) {
        std::vector<std::uint16_t>& half = halves.emplace_back();
        for (float& v : values) {
          half.push_back(to_bfloat16(v));
          v = from_bfloat16(half.back());
        }
      }
      blocks.push_back(std::move(values));
    }
  }

  [[nodiscard]] std::vector<float> attend() const {
    std::vector<const std::byte*> pointers;
    for (std::size_t b = 0; b < blocks.size(); ++b)
      pointers.push_back(has_halves ? reinterpret_cast<const std::byte*>(halves[b].data())
                                    : reinterpret_cast<const std::byte*>(blocks[b].data()));
    std::vector<float> out(q.size()), scores(static_cast<std::size_t>(heads * 48));
    kernels().attend_heads({.q = q.data(),
                            .out = out.data(),
                            .n_heads = heads,
                            .head_size = size,
                            .padded = padded,
                            .is_bfloat16 = has_halves,
                            .blocks = pointers.data(),
                            .n_blocks = 3,
                            .first_block = 2,
                            .begin = begin,
                            .end = end,
                            .value_offset = size * 16,
                            .scale = 0.25f,
                            .cap = cap,
                            .scores = scores.data()});
    return out;
  }

  [[nodiscard]] std::vector<double> exact() const {
    std::vector<double> out(q.size());
    for (std::int64_t h = 0; h < heads; ++h) {
      double total = 0;
      for (std::int64_t p = begin; p < end; ++p) {
        const std::vector<float>& block = blocks[static_cast<std::size_t>(p / 16 - 2)];
        double score = 0;
        for (std::int64_t d = 0; d < size; ++d)
          score += static_cast<double>(q[static_cast<std::size_t>(h * size + d)]) *
                   static_cast<double>(block[static_cast<std::size_t>(d * 16 + p % 16)]);
        score *= 0.25;
        if (cap > 0) score = static_cast<double>(cap) * std::tanh(score / static_cast<double>(cap));
        const double weight = std::exp(score);
        total += weight;
        for (std::int64_t d = 0; d < size; ++d)
          out[static_cast<std::size_t>(h * size + d)] +=
              weight * static_cast<double>(block[static_cast<std::size_t>(size * 16 + p % 16 * padded + d)]);
      }
      for (std::int64_t d = 0; d < size; ++d) out[static_cast<std::size_t>(h * size + d)] /= total;
    }
    return out;
  }

  std::int64_t heads, size, padded, begin = 35, end = 72;
  float cap = 0;
  bool has_halves;
  std::vector<float> q;
  std::vector<std::vector<float>> blocks;
  std::vector<std::vector<std::uint16_t>> halves;
};

TEST(KernelBits, AttentionIsRightAndTheSameOnAllSets) {
  for (const bool is_bfloat16 : {false, true})
    for (const std::int64_t n_heads : {1, 2, 3, 4})
      for (const std::int64_t size : {20, 64, 96})
        for (const float cap : {0.0f, 3.0f}) {
          HeadsProblem problem(n_heads, size, is_bfloat16);
          problem.cap = cap;
          const std::vector<float> out = test::same_with_every_isa([&] { return problem.attend(); });
          const std::vector<double> exact = problem.exact();
          for (std::size_t i = 0; i < out.size(); ++i)
            EXPECT_NEAR(static_cast<double>(out[i]), exact[i], 1e-5) << n_heads << " heads of " << size;
        }
}

TEST(KernelBits, AttentionOverTextsIsTheSameOnAllSets) {
  const std::int64_t length = 21, size = 20, padded = 32;
  const std::vector<float> q = random_values(length * size, 7), keys = random_values(2 * size * 16, 8),
                           values = random_values(length * padded, 9);
  test::same_with_every_isa([&] {
    std::vector<float> out(q.size()), scores(static_cast<std::size_t>(queries_together * 32));
    kernels().attend_text_head({.q = q.data(),
                                .out = out.data(),
                                .ldq = size,
                                .ldout = size,
                                .length = length,
                                .size = size,
                                .padded = padded,
                                .keys = keys.data(),
                                .values = values.data(),
                                .scores = scores.data()});
    return out;
  });
}

}  // namespace
}  // namespace twistor::device
