// SPDX-License-Identifier: Apache-2.0
// Rows of a tensor by index. Private to the smc room.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include <cstdint>
#include <span>

namespace twistor::smc {

/// Copies of rows index[0], index[1], ... of (n, ...). *Local.*
inline at::Tensor select_rows(const at::Tensor& rows, std::span<const std::int64_t> index) {
  const at::Tensor host = at::from_blob(const_cast<std::int64_t*>(index.data()),
                                        {static_cast<std::int64_t>(index.size())}, at::kLong);
  return at::index_select(rows, 0, rows.is_cpu() ? host : host.to(rows.device()));
}

}  // namespace twistor::smc
