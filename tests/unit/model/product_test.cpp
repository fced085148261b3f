// Packed products: against float64, the same bits in every batch, and codes against their expansion.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/model/packed_matrix.hpp"

namespace twistor::model {
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

TEST(Product, ArithmeticIsRight) {
  const std::vector<float> w = random_values(N * K, 1), x = random_values(9 * K, 2);
  for (const Precision precision : {Precision::float32, Precision::bfloat16}) {
    PackedBuffer packed(N, K, precision);
    packed.matrix().pack_rows(0, w);
    const std::vector<float> y = product(x, packed.matrix());
    // Rounding to bf16 changes each factor by 2^-9 at most, and K terms of size 1 add as a random walk.
    const double tolerance = precision == Precision::float32 ? 1e-4 : 0.3;
    for (std::int64_t r = 0; r < 9; ++r)
      for (std::int64_t c = 0; c < N; ++c) {
        double sum = 0;
        for (std::int64_t k = 0; k < K; ++k)
          sum += static_cast<double>(x[static_cast<std::size_t>(r * K + k)]) *
                 static_cast<double>(w[static_cast<std::size_t>(c * K + k)]);
        EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(r * N + c)]), sum, tolerance);
      }
  }
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
    const std::vector<float> together = product(x, packed.matrix());
    for (const std::int64_t n : {1, 2, 5, 12, 13, 25, 96, 97}) {
      const std::vector<float> y = product({x.end() - n * K, x.end()}, packed.matrix());
      EXPECT_TRUE(std::equal(y.begin(), y.end(), together.end() - n * N)) << n;
    }
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
    EXPECT_EQ(product(x, packed.matrix()), product(x, expanded.matrix()));
    const std::vector<float> one(x.begin(), x.begin() + K);
    EXPECT_EQ(product(one, packed.matrix()), product(one, expanded.matrix()));
  }
}

}  // namespace
}  // namespace twistor::model
