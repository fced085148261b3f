// SPDX-License-Identifier: Apache-2.0
// Comparing bits of rows over batches.
#include "twistor/device/audit.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace twistor::device {

bool keeps_row_bits(const RowProduct& product, const at::Tensor& x) {
  // Alone: a few rows are enough, as every further batch has rows at many places.
  constexpr std::int64_t n_alone = 8;
  constexpr std::array<std::int64_t, 3> batches{63, 200, 513};
  const std::int64_t n = x.size(0);
  const at::Tensor whole = product(x);
  const auto agrees = [&](std::int64_t begin, std::int64_t size) {
    return at::equal(product(x.narrow(0, begin, size)), whole.narrow(0, begin, size));
  };
  for (std::int64_t i = 0; i < n_alone; ++i)
    if (!agrees(i * (n - 1) / (n_alone - 1), 1)) return false;
  for (const std::int64_t batch : batches)
    for (std::int64_t begin = 0; begin < n; begin += batch)
      if (!agrees(begin, std::min(batch, n - begin))) return false;
  return true;
}

RowProduct in_tiles(RowProduct product, std::int64_t tile) {
  return [product = std::move(product), tile](const at::Tensor& x) {
    std::vector<at::Tensor> parts;
    for (std::int64_t begin = 0; begin < x.size(0); begin += tile) {
      const std::int64_t size = std::min(tile, x.size(0) - begin);
      at::Tensor rows = x.narrow(0, begin, size);
      if (size < tile) rows = at::cat({rows, rows.narrow(0, 0, 1).expand({tile - size, x.size(1)})});
      parts.push_back(product(rows).narrow(0, 0, size));
    }
    return at::cat(parts);
  };
}

std::int64_t choose_row_tile(const std::function<RowProduct(std::int64_t)>& with_tile, const at::Tensor& x,
                             std::span<const std::int64_t> tiles) {
  if (keeps_row_bits(with_tile(0), x)) return 0;
  for (const std::int64_t tile : tiles)
    if (keeps_row_bits(with_tile(tile), x)) return tile;
  return -1;
}

}  // namespace twistor::device
