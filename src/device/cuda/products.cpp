// SPDX-License-Identifier: Apache-2.0
// The audit of each size of product, and tiles.
#include "products.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <vector>

#include "pass.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/audit.hpp"

namespace twistor::device::cuda {
namespace {

constexpr std::array<std::int64_t, 3> tiles{256, 64, 1024};
constexpr std::int64_t audited_rows = 1000;

std::int64_t element_bytes(const ProductTask& task) {
  return task.is_bfloat16 ? 2 : 4;
}

/// Rows between -1 and 1, the same for all ranks.
at::Tensor random_rows(std::int64_t k, at::ScalarType type, at::Device device) {
  at::Tensor out = at::empty({audited_rows, k}, at::kFloat);
  Philox random(1, Stream::model_init, 0, 0);
  float* const numbers = out.mutable_data_ptr<float>();
  for (std::int64_t i = 0; i < out.numel(); ++i) numbers[i] = static_cast<float>(2 * random.uniform() - 1);
  return out.to(device).to(type);
}

}  // namespace

bool Products::multiply(const ProductTask& task) {
  if (!deterministic_) return launchers_.product(task);
  const std::lock_guard lock(mutex_);
  const Kind kind{task.columns, task.k, task.is_bfloat16};
  auto tile = tiles_.find(kind);
  if (tile == tiles_.end()) {
    if (is_recording()) throw NotRecordable("a product was not audited yet");
    tile = tiles_.emplace(kind, audited_tile(task)).first;
  }
  return tile->second == 0 ? launchers_.product(task) : multiply_in_tiles(task, tile->second);
}

std::int64_t Products::audited_tile(const ProductTask& task) {
  const auto type = task.is_bfloat16 ? at::kBFloat16 : at::kFloat;
  const at::Tensor x = random_rows(task.k, type, device_);
  bool is_possible = true;
  const std::int64_t tile = choose_row_tile(
      [&](std::int64_t rows) {
        return [&, rows](const at::Tensor& some) {
          at::Tensor y = numbers({some.size(0), task.columns}, at::kFloat, device_);
          ProductTask one = task;
          one.x = some.const_data_ptr();
          one.n = some.size(0);
          one.y = y.mutable_data_ptr<float>();
          one.ldy = task.columns;
          one.accumulate = false;
          is_possible &= rows == 0 ? launchers_.product(one) : multiply_in_tiles(one, rows);
          return y;
        };
      },
      x, tiles);
  TWISTOR_CHECK(
      is_possible && tile >= 0, ErrorKind::config, "auditing the GPU's products",
      fmt::format("rows of a product of {} by {} do not keep their bits, neither as they come nor in "
                  "tiles of a fixed number of rows",
                  task.columns, task.k),
      "set run.deterministic = false");
  if (tile > 0)
    log_info(fmt::format("products of {} by {} are done in tiles of {} rows, so that rows keep their bits",
                         task.columns, task.k, tile));
  return tile;
}

bool Products::multiply_in_tiles(ProductTask task, std::int64_t tile) {
  const std::int64_t x_bytes = task.k * element_bytes(task);
  const auto* x = static_cast<const std::byte*>(task.x);
  ProductTask one = task;
  one.n = tile;
  std::int64_t done = 0;
  for (; done + tile <= task.n; done += tile) {
    one.x = x + done * x_bytes;
    one.y = task.y + done * task.ldy;
    if (!launchers_.product(one)) return false;
  }
  const std::int64_t rest = task.n - done;
  if (rest == 0) return true;
  // What fills the tile is finite, and nobody looks at it.
  at::Tensor& rows = scratch(inputs_, tile, task.k, task.is_bfloat16 ? at::kBFloat16 : at::kFloat);
  at::Tensor& sums = scratch(results_, tile, task.columns, at::kFloat);
  const std::int64_t y_bytes = task.columns * std::int64_t{sizeof(float)},
                     pitch = task.ldy * std::int64_t{sizeof(float)};
  one.x = rows.const_data_ptr();
  one.y = sums.mutable_data_ptr<float>();
  one.ldy = task.columns;
  launchers_.copy({rows.mutable_data_ptr(), x_bytes, x + done * x_bytes, x_bytes, x_bytes, rest});
  if (task.accumulate) launchers_.copy({one.y, y_bytes, task.y + done * task.ldy, pitch, y_bytes, rest});
  if (!launchers_.product(one)) return false;
  launchers_.copy({task.y + done * task.ldy, pitch, one.y, y_bytes, y_bytes, rest});
  return true;
}

at::Tensor& Products::scratch(std::map<Kind, at::Tensor>& all, std::int64_t tile, std::int64_t width,
                              at::ScalarType type) {
  at::Tensor& out = all[{tile, width, type == at::kBFloat16}];
  if (out.defined()) return out;
  if (is_recording()) throw NotRecordable("a product needs memory first");
  out = at::zeros({tile, width}, at::TensorOptions().dtype(type).device(device_));
  return out;
}

}  // namespace twistor::device::cuda
