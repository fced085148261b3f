// SPDX-License-Identifier: Apache-2.0
// The audit of products, with products that depend on their batch in known ways.
#include "twistor/device/audit.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace twistor::device {
namespace {

constexpr std::array<std::int64_t, 2> tiles{64, 256};

struct Audit : testing::Test {
  at::Tensor x = at::rand({1000, 24}), w = at::rand({24, 8});
  std::vector<std::int64_t> sizes;  // of the calls

  /// Row by row, so that a row's bits are its own, plus an error that depends on how many rows there are.
  RowProduct product(float on_size, float on_place = 0) {
    return [=, this](const at::Tensor& rows) {
      sizes.push_back(rows.size(0));
      at::Tensor out = rows.unsqueeze(2).mul(w).sum(1);
      out.add_(on_size * static_cast<float>(rows.size(0)));
      if (on_place != 0) out.add_(at::arange(rows.size(0), at::kFloat).unsqueeze(1), on_place);
      return out;
    };
  }
  std::int64_t choose(const RowProduct& f) const {
    return choose_row_tile([&](std::int64_t tile) { return tile == 0 ? f : in_tiles(f, tile); }, x, tiles);
  }
};

TEST_F(Audit, AProductOfRowsNeedsNoTiles) {
  EXPECT_EQ(choose(product(0)), 0);
}

TEST_F(Audit, OneThatDependsOnItsBatchIsDoneInTilesOfOneSize) {
  const RowProduct f = product(1e-3F);
  EXPECT_FALSE(keeps_row_bits(f, x));
  EXPECT_EQ(choose(f), 64);
  sizes.clear();
  const at::Tensor out = in_tiles(f, 64)(x);
  EXPECT_EQ(out.size(0), 1000);
  EXPECT_EQ(sizes, std::vector<std::int64_t>(16, 64));
}

/// Rows may come out right in tiles of one size and wrong in those of another.
TEST_F(Audit, ATileThatDoesNotHelpIsNotTaken) {
  const RowProduct good = product(1e-3F), bad = product(0, 1e-3F);
  const RowProduct f = [&](const at::Tensor& rows) { return rows.size(0) == 64 ? bad(rows) : good(rows); };
  EXPECT_EQ(choose(f), 256);
}

TEST_F(Audit, OneThatDependsOnARowsPlaceIsRefused) {
  EXPECT_EQ(choose(product(0, 1e-3F)), -1);
}

/// One row of a thousand is enough.
TEST_F(Audit, FindsASingleRow) {
  const RowProduct good = product(0);
  const RowProduct f = [&](const at::Tensor& rows) {
    at::Tensor out = good(rows);
    if (rows.size(0) == 513) out.select(0, 200).add_(1e-4F);
    return out;
  };
  EXPECT_FALSE(keeps_row_bits(f, x));
}

}  // namespace
}  // namespace twistor::device
