// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 by tiles: the same kernel over tiles in plain C++, which any processor runs, and over
// the processor's where it has them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#define TWISTOR_ISA tiles_in_tests
#include "device/cpu/kernels/product_tiles.hpp"
#include "twistor/base/bfloat16.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/isa.hpp"
#include "twistor/device/packed_matrix.hpp"

namespace twistor::device {
namespace {

using namespace tiles_in_tests::product;  // NOLINT(google-build-using-namespace)

/// What Intel's manual says of LDTILECFG, TILELOADD, TILEZERO, TDPBF16PS and TILESTORED, for numbers whose
/// sums are not below the normal ones: those count as zero.
class SoftwareTiles {
 public:
  static void shape(std::int64_t upper, std::int64_t lower) {
    ASSERT_TRUE(0 < upper && upper <= 16 && 0 <= lower && lower <= 16) << upper << ", " << lower;
    for (const Tile t : {upper_left, upper_right, upper_x}) at(t) = Contents{upper};
    for (const Tile t : {lower_left, lower_right, lower_x}) at(t) = Contents{lower};
    for (const Tile t : {left_panel, right_panel}) at(t) = Contents{16};
    is_in_use = true;
  }
  static void release() { is_in_use = false; }
  template <Tile T>
  static void zero() {
    at(T) = Contents{rows_of<T>()};
  }
  template <Tile T>
  static void load(const void* from, std::int64_t stride) {
    for (std::int64_t r = 0; r < rows_of<T>(); ++r)
      std::copy_n(static_cast<const std::byte*>(from) + r * stride, 64,
                  reinterpret_cast<std::byte*>(at(T).words[static_cast<std::size_t>(r)].data()));
  }
  template <Tile T>
  static void store(void* to, std::int64_t stride) {
    for (std::int64_t r = 0; r < rows_of<T>(); ++r)
      std::copy_n(reinterpret_cast<const std::byte*>(at(T).words[static_cast<std::size_t>(r)].data()), 64,
                  static_cast<std::byte*>(to) + r * stride);
  }
  template <Tile Sums, Tile X, Tile Panel>
  static void dot() {
    EXPECT_EQ(rows_of<Sums>(), rows_of<X>());
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows_of<Sums>()); ++r)
      for (std::size_t c = 0; c < 16; ++c) {
        float firsts = 0, seconds = 0;
        for (std::size_t p = 0; p < 16; ++p) {
          const std::uint32_t x = at(X).words[r][p], w = at(Panel).words[p][c];
          firsts = std::fma(half(x, 0), half(w, 0), firsts);
          seconds = std::fma(half(x, 1), half(w, 1), seconds);
        }
        std::uint32_t& sum = at(Sums).words[r][c];
        sum = std::bit_cast<std::uint32_t>(std::bit_cast<float>(sum) + (firsts + seconds));
      }
  }

  static inline bool is_in_use = false;

 private:
  struct Contents {
    std::int64_t rows = 0;
    std::array<std::array<std::uint32_t, 16>, 16> words{};
  };
  static Contents& at(Tile t) {
    static std::array<Contents, 8> tiles;
    return tiles[t];
  }
  template <Tile T>
  static std::int64_t rows_of() {
    EXPECT_TRUE(is_in_use && at(T).rows > 0) << "a tile without a shape is used: " << T;
    return at(T).rows;
  }
  static float half(std::uint32_t pair, int i) {
    return std::bit_cast<float>(i == 0 ? pair << 16 : pair & 0xFFFF0000u);
  }
};

/// A matrix (32, k), rows of x, and their products one by one.
struct Problem {
  Problem(std::int64_t n_rows, std::int64_t n_k)
      : rows(n_rows), k(n_k), packed(panel_width, n_k, Precision::bfloat16) {
    Philox random(1, Stream::test, 7, 0);
    const auto draw = [&](std::int64_t count) {
      std::vector<float> out;
      for (std::int64_t i = 0; i < count; ++i)
        out.push_back(from_bfloat16(to_bfloat16(static_cast<float>(random.normal()))));
      return out;
    };
    w = draw(panel_width * k);
    x = draw(rows * k);
    packed.matrix().pack_rows(0, w);
  }

  [[nodiscard]] float product(std::int64_t r, std::int64_t c) const {
    float sum = 0;
    for (std::int64_t begin = 0; begin < k; begin += 32) {
      std::array<float, 2> parts{};
      for (std::int64_t i = begin; i < std::min(begin + 32, k); ++i) {
        float& part = parts[static_cast<std::size_t>(i % 2)];
        part = std::fma(x[static_cast<std::size_t>(r * k + i)], w[static_cast<std::size_t>(c * k + i)], part);
      }
      sum += parts[0] + parts[1];
    }
    return sum;
  }

  /// Compares (rows, 32) sums with products; a difference in any bit is one.
  void expect_equal(const std::vector<float>& sums) const {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < panel_width; ++c)
        ASSERT_EQ(sums[static_cast<std::size_t>(r * panel_width + c)], product(r, c))
            << "row " << r << " of " << rows << ", column " << c << ", k = " << k;
  }

  std::int64_t rows, k;
  std::vector<float> w, x;
  PackedBuffer packed;
};

/// Heights with and without lower rows, with one and several groups of 32; K with and without a rest, odd
/// too.
const std::array<std::int64_t, 9> heights = {1, 2, 15, 16, 17, 31, 32, 50, tile_rows};
const std::array<std::int64_t, 7> depths = {1, 7, 31, 32, 33, 64, 191};

TEST(Tiles, SumWholeAndPartTiles) {
  for (const std::int64_t rows : heights)
    for (const std::int64_t k : depths) {
      const Problem problem(rows, k);
      const std::int64_t words = words_of_tiles(k);
      std::vector<std::uint32_t> prepared(static_cast<std::size_t>(rows * words));
      for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = 0; i < k; ++i)
          prepared[static_cast<std::size_t>(r * words + i / 2)] |=
              static_cast<std::uint32_t>(to_bfloat16(problem.x[static_cast<std::size_t>(r * k + i)]))
              << (i % 2 * 16);
      std::vector<float> sums(static_cast<std::size_t>(rows * panel_width), NAN);
      sum_by_tiles<SoftwareTiles>(prepared.data(), rows, problem.packed.matrix().panel(0), k, sums.data());
      EXPECT_FALSE(SoftwareTiles::is_in_use) << "the tiles were not given back";
      problem.expect_equal(sums);
    }
}

TEST(Tiles, TheProcessorsAreTheSame) {
  if (best_isa() < Isa::amx_bf16) GTEST_SKIP() << "this processor has no tiles (AMX)";
  const Isa before = isa_in_use();
  use_isa(Isa::amx_bf16);
  for (const std::int64_t rows : heights)
    for (const std::int64_t k : depths) {
      const Problem problem(rows, k);
      std::vector<float> sums(static_cast<std::size_t>(rows * panel_width));
      multiply(problem.x, rows, problem.packed.matrix(), sums);
      problem.expect_equal(sums);
    }
  use_isa(before);
}

}  // namespace
}  // namespace twistor::device
