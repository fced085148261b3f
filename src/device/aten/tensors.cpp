// SPDX-License-Identifier: Apache-2.0
// Tables, slots and angles, uploaded once a pass.
#include "tensors.hpp"

#include <ATen/ops/from_blob.h>

#include <vector>

#include "twistor/device/kernels.hpp"
#include "twistor/device/row_kernels.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {

at::Tensor index_tensor(std::span<const std::int32_t> blocks, at::Device device) {
  return to_device(std::vector<std::int64_t>(blocks.begin(), blocks.end()), device);
}

PassPositions::PassPositions(const AttentionShape& shape, const KvRows& rows, at::Device device) {
  std::vector<std::int64_t> slot_of, positions;
  slot_of.reserve(static_cast<std::size_t>(rows.size()));
  for (std::int64_t j = 0; j < rows.n_tokens; ++j) positions.push_back(rows.position + j);
  for (std::int64_t i = 0; i < rows.n_sequences; ++i)
    for (const std::int64_t at : positions) {
      const auto entry = static_cast<std::size_t>(i * rows.blocks_each + at / kv_block_tokens);
      slot_of.push_back(std::int64_t{rows.table[entry]} * kv_block_tokens + at % kv_block_tokens);
    }
  slots = to_device(slot_of, device);
  for (const Rotary& rotary : shape.rotaries) {
    rows::RotaryRows table(rotary.frequencies, rotary.magnitude, positions);
    const auto upload = [&](std::vector<float>& values) {
      return at::from_blob(values.data(), {rows.n_tokens, table.pairs}, at::kFloat)
          .to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    };
    angles.push_back({table.pairs, upload(table.cosine), upload(table.sine)});
  }
}

}  // namespace twistor::device
