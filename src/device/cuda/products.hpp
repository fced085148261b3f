// SPDX-License-Identifier: Apache-2.0
// Products as the library has them, or so that rows keep their bits. Private to the device room.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <tuple>

#include "tasks.hpp"

namespace twistor::device::cuda {

class Products {
 public:
  Products(const Launchers& launchers, at::Device device, bool deterministic)
      : launchers_(launchers), device_(device), deterministic_(deterministic) {}

  /// false where the library cannot; then nothing was done. Deterministic: the first product of a size is
  /// audited (device/audit.hpp), and it and all like it are done in tiles where they must be. Throws
  /// Error(config) where no tile helps.
  bool multiply(const ProductTask& task);

 private:
  using Kind = std::tuple<std::int64_t, std::int64_t, bool>;

  std::int64_t audited_tile(const ProductTask& task);
  bool multiply_in_tiles(ProductTask task, std::int64_t tile);
  at::Tensor& scratch(std::map<Kind, at::Tensor>& all, std::int64_t tile, std::int64_t width,
                      at::ScalarType type);

  const Launchers& launchers_;
  at::Device device_;
  bool deterministic_;
  std::mutex mutex_;
  std::map<Kind, std::int64_t> tiles_;  // by columns, k, and whether of bfloat16
  // Rows of a last tile that is not full, by the tile's rows, width, and whether of bfloat16.
  std::map<Kind, at::Tensor> inputs_, results_;
};

}  // namespace twistor::device::cuda
