// SPDX-License-Identifier: Apache-2.0
// Packed products on every instruction set: against chains of fused multiply-adds, the same bits in every
// batch, and codes against their expansion.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/every_isa.hpp"
#include "twistor/base/bfloat16.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/packed_matrix.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t N = 70, K = 192;  // two whole panels and a part of one; two chunks of K

std::vector<float> random_values(std::int64_t n, std::uint64_t id) {
  Philox random(1, Stream::test, 0, id);
  std::vector<float> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back(static_cast<float>(random.normal()));
  return out;
}

std::vector<float> product(const std::vector<float>& x, const PackedMatrix& w) {
  const auto n = static_cast<std::int64_t>(x.size()) / w.k();
  std::vector<float> y(static_cast<std::size_t>(n * w.n()));
  multiply(x, n, w, y);
  return y;
}

/// Random codes of a matrix (N, K), and what they expand to.
struct Codes {
  explicit Codes(const PanelLayout& layout) {
    Philox random(1, Stream::test, 1, 0);
    const bool is_four_bits = layout.kind == PanelLayout::Kind::codes4;
    for (std::int64_t i = 0; i < N * K; ++i)
      codes.push_back(static_cast<std::int8_t>(static_cast<int>(random.below(is_four_bits ? 16 : 256)) -
                                               (is_four_bits ? 0 : 128)));
    const std::int64_t n_groups = N * K / layout.group;
    for (std::int64_t g = 0; g < n_groups; ++g) {  // eleven bits, as a half has: times a code that is exact
      scales.push_back(static_cast<float>(static_cast<int>(random.below(2048)) - 1024) * 0x1p-14f);
      offsets.push_back(static_cast<float>(random.normal()));
    }
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t g = i / static_cast<std::size_t>(layout.group);
      const float exact = scales[g] * static_cast<float>(codes[i]);
      values.push_back(exact + offsets[g]);
    }
  }
  std::vector<std::int8_t> codes;
  std::vector<float> scales, offsets, values;
};

/// Each element as one chain in the order of k, which is what the kernels promise.
std::vector<float> chains(const std::vector<float>& x, const std::vector<float>& w) {
  std::vector<float> y;
  for (std::size_t r = 0; r < x.size() / K; ++r)
    for (std::size_t c = 0; c < w.size() / K; ++c) {
      float sum = 0;
      for (std::size_t k = 0; k < K; ++k) sum = std::fma(x[r * K + k], w[c * K + k], sum);
      y.push_back(sum);
    }
  return y;
}

TEST(Product, Float32IsOneChainOfFusedMultiplyAdds) {
  const std::vector<float> w = random_values(N * K, 1), x = random_values(31 * K, 2);
  PackedBuffer packed(N, K, Precision::float32);
  packed.matrix().pack_rows(0, w);
  const std::vector<float> expected = chains(x, w);
  test::with_every_isa([&](Isa) {
    for (std::int64_t n = 1; n <= 31; ++n) {
      const std::vector<float> y = product({x.begin(), x.begin() + n * K}, packed.matrix());
      EXPECT_TRUE(std::equal(y.begin(), y.end(), expected.begin())) << n << " rows";
    }
  });
}

TEST(Product, Bfloat16IsRight) {
  const std::int64_t odd = K - 1;  // the last of a row has no partner
  std::vector<float> w = random_values(N * odd, 1), x = random_values(9 * odd, 2);
  PackedBuffer packed(N, odd, Precision::bfloat16);
  packed.matrix().pack_rows(0, w);
  for (float& v : w) v = from_bfloat16(to_bfloat16(v));
  std::vector<float> first;
  test::with_every_isa([&](Isa isa) {
    const std::vector<float> y = product(x, packed.matrix());
    for (std::int64_t r = 0; r < 9; ++r)
      for (std::int64_t c = 0; c < N; ++c) {
        double sum = 0, size = 0;
        for (std::int64_t k = 0; k < odd; ++k) {
          const double term =
              static_cast<double>(from_bfloat16(to_bfloat16(x[static_cast<std::size_t>(r * odd + k)]))) *
              static_cast<double>(w[static_cast<std::size_t>(c * odd + k)]);
          sum += term;
          size += std::abs(term);
        }
        // Products of two bfloat16 are exact in float32; K sums round to 2^-24 each.
        EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(r * N + c)]), sum, 1e-6 * size);
      }
    if (first.empty()) first = y;
    // Only instructions for bfloat16 round differently.
    if (isa < Isa::avx512_bf16) {
      EXPECT_EQ(y, first);
    }
  });
}

TEST(Product, RowsDoNotDependOnTheirBatch) {
  const std::vector<float> w = random_values(N * K, 1), x = random_values(130 * K, 2);
  for (const PanelLayout layout : {PanelLayout(Precision::float32), PanelLayout(Precision::bfloat16),
                                   PanelLayout(true, 32), PanelLayout(false, 16)}) {
    PackedBuffer packed(N, K, layout);
    if (layout.has_codes()) {
      const Codes codes(layout);
      packed.matrix().pack_codes(0, codes.codes, codes.scales, codes.offsets);
    } else {
      packed.matrix().pack_rows(0, w);
    }
    test::with_every_isa([&](Isa) {
      const std::vector<float> together = product(x, packed.matrix());
      for (const std::int64_t n : {1, 2, 3, 4, 5, 6, 7, 12, 13, 25, 96, 97}) {
        const std::vector<float> y = product({x.end() - n * K, x.end()}, packed.matrix());
        EXPECT_TRUE(std::equal(y.begin(), y.end(), together.end() - n * N)) << n;
      }
    });
  }
}

TEST(Product, CodesGiveTheBitsOfTheirExpansion) {
  const std::vector<float> x = random_values(30 * K, 2);
  for (const PanelLayout layout :
       {PanelLayout(true, 32), PanelLayout(true, 16), PanelLayout(false, 32), PanelLayout(false, 16)}) {
    const Codes codes(layout);
    PackedBuffer packed(N, K, layout), expanded(N, K, Precision::float32);
    packed.matrix().pack_codes(0, codes.codes, codes.scales, codes.offsets);
    expanded.matrix().pack_rows(0, codes.values);
    test::with_every_isa([&](Isa) {
      for (const std::int64_t n : {1, 2, 3, 4, 5, 30}) {
        const std::vector<float> rows(x.begin(), x.begin() + n * K);
        EXPECT_EQ(product(rows, packed.matrix()), product(rows, expanded.matrix())) << n;
      }
    });
  }
}

TEST(PackedMatrix, RowsAreReadAsProductsSeeThem) {
  const std::vector<float> w = random_values(N * K, 1);
  for (const PanelLayout layout :
       {PanelLayout(Precision::float32), PanelLayout(Precision::bfloat16), PanelLayout(true, 32),
        PanelLayout(true, 16), PanelLayout(false, 32), PanelLayout(false, 16)}) {
    PackedBuffer packed(N, K, layout);
    std::vector<float> expected = w;
    if (layout.has_codes()) {
      const Codes codes(layout);
      packed.matrix().pack_codes(0, codes.codes, codes.scales, codes.offsets);
      expected = codes.values;
    } else {
      packed.matrix().pack_rows(0, w);
      if (layout.kind == PanelLayout::Kind::bfloat16)
        for (float& v : expected) v = from_bfloat16(to_bfloat16(v));
    }
    std::vector<float> row(K);
    for (std::int64_t i = 0; i < N; ++i) {
      packed.matrix().read_row(i, row);
      EXPECT_TRUE(std::equal(row.begin(), row.end(), expected.begin() + i * K)) << "row " << i;
    }
  }
}

}  // namespace
}  // namespace twistor::device
