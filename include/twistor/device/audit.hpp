// SPDX-License-Identifier: Apache-2.0
// Whether a library's products give a row the same bits in every batch, and a way to have that where they do
// not.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

namespace twistor::device {

/// Rows (n, N) of rows (n, K), by one matrix.
using RowProduct = std::function<at::Tensor(const at::Tensor& x)>;

/// Whether each of the rows x, (n, K), has the same bits in the whole, alone and in batches of 63, 200 and
/// 513, at different places in them. *Local.*
[[nodiscard]] bool keeps_row_bits(const RowProduct& product, const at::Tensor& x);

/// The same product by calls of `tile` rows each, the last one filled up with its first row.
[[nodiscard]] RowProduct in_tiles(RowProduct product, std::int64_t tile);

/// 0 if the product keeps a row's bits as it is, else the first of those tiles with which it does; -1: none.
/// with_tile(t): the product by calls of t rows, 0: in one call.
[[nodiscard]] std::int64_t choose_row_tile(const std::function<RowProduct(std::int64_t)>& with_tile,
                                           const at::Tensor& x, std::span<const std::int64_t> tiles);

}  // namespace twistor::device
