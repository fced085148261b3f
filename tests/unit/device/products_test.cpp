// SPDX-License-Identifier: Apache-2.0
// Deterministic products over a library whose rows depend on their batch.
#include "device/cuda/products.hpp"

#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "support/error_of.hpp"
#include "twistor/base/error.hpp"

namespace twistor::device::cuda {
namespace {

constexpr std::int64_t K = 40, N = 70, ldy = 80;
std::set<std::int64_t> rows_asked_for;

/// The emulator's, with an error that depends on how many rows there are.
bool product_by_batch(const ProductTask& t) {
  rows_asked_for.insert(t.n);
  if (!emulated_launchers().product(t)) return false;
  for (std::int64_t r = 0; r < t.n; ++r)
    for (std::int64_t c = 0; c < t.columns; ++c) t.y[r * t.ldy + c] += 1e-3F * static_cast<float>(t.n);
  return true;
}
/// The same by the row's place.
bool product_by_place(const ProductTask& t) {
  if (!emulated_launchers().product(t)) return false;
  for (std::int64_t r = 0; r < t.n; ++r) t.y[r * t.ldy] += 1e-3F * static_cast<float>(r);
  return true;
}

struct DeterministicProducts : testing::TestWithParam<bool> {
  at::Tensor x = at::rand({700, K}), w = at::rand({N, K}), bias = at::rand({N});

  /// Rows [begin, begin + n) of x, over rows of 0.5.
  at::Tensor rows(Products& products, std::int64_t begin, std::int64_t n) const {
    at::Tensor y = at::zeros({n, ldy}).add_(0.5);
    EXPECT_TRUE(products.multiply({.x = x.const_data_ptr<float>() + begin * K,
                                   .w = w.const_data_ptr(),
                                   .bias = bias.const_data_ptr<float>(),
                                   .n = n,
                                   .columns = N,
                                   .k = K,
                                   .y = y.mutable_data_ptr<float>(),
                                   .ldy = ldy,
                                   .accumulate = GetParam()}));
    return y;
  }
};

TEST_P(DeterministicProducts, HaveTheBitsOfARowInEveryBatch) {
  Launchers library = emulated_launchers();
  library.product = product_by_batch;
  Products products(library, at::kCPU, true);
  const at::Tensor whole = rows(products, 0, 700);
  rows_asked_for.clear();
  for (const std::int64_t n : {1, 63, 255, 256, 257, 600}) {
    const at::Tensor part = rows(products, 700 - n, n);
    EXPECT_EQ(
        std::memcmp(part.const_data_ptr(), whole.const_data_ptr<float>() + (700 - n) * ldy, part.nbytes()), 0)
        << n;
  }
  EXPECT_THAT(rows_asked_for, testing::ElementsAre(256)) << "all in tiles of one size";
  EXPECT_EQ(whole.select(0, 5).select(0, N).item<float>(), 0.5F) << "other columns stay";
  // What comes out is the product: with the error of a tile.
  const double wanted = x.select(0, 5).dot(w.select(0, 7)).item<double>() + bias.select(0, 7).item<double>() +
                        0.256 + (GetParam() ? 0.5 : 0);
  EXPECT_NEAR(whole.select(0, 5).select(0, 7).item<double>(), wanted, 1e-4);
}

TEST_P(DeterministicProducts, LeaveALibraryAloneThatKeepsBits) {
  Launchers library = emulated_launchers();
  Products products(library, at::kCPU, true);
  Products plain(library, at::kCPU, false);
  EXPECT_TRUE(rows(products, 0, 300).equal(rows(plain, 0, 300)));
}

TEST_P(DeterministicProducts, RefuseALibraryThatNoTileHelps) {
  Launchers library = emulated_launchers();
  library.product = product_by_place;
  Products products(library, at::kCPU, true);
  const Error error = test::error_of([&] { (void)rows(products, 0, 2); });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_THAT(error.text(), testing::AllOf(testing::HasSubstr("70 by 40"),
                                           testing::HasSubstr("run.deterministic = false")));
}

INSTANTIATE_TEST_SUITE_P(Both, DeterministicProducts, testing::Bool(),
                         [](const auto& test) { return std::string(test.param ? "adding" : "plain"); });

}  // namespace
}  // namespace twistor::device::cuda
