// SPDX-License-Identifier: Apache-2.0
// Sums of gradients over shards that lie on a device until they are whole. Private to the learn room.
#pragma once

#include "gradient_sum.hpp"
#include "twistor/comm/tree_reduce.hpp"

namespace twistor::learn {

/// In the tree with the bits of main memory's sums, or over ranks by one all-reduce.
class DeviceGradientSum final : public GradientSum {
 public:
  DeviceGradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
                    const comm::Communicator& world, bool in_any_order);

 private:
  void put(std::size_t parameter, std::size_t shard, twist::GradientBlock block) override;
  void merge(std::size_t parameter, std::size_t to, std::size_t from) override;
  [[nodiscard]] Joined sum(const Group& group) override;

  /// The rows of a group that any shard of any rank has.
  [[nodiscard]] std::vector<std::int64_t> rows_of(const Group& group) const;
  /// A local shard of a group, spread over those rows; on the device, or nothing if it has none.
  [[nodiscard]] at::Tensor joined(const Group& group, std::size_t shard, std::span<const std::int64_t> rows);

  bool in_any_order_;
  std::vector<std::vector<comm::RowTensor>> blocks_;  // by parameter and local shard
};

}  // namespace twistor::learn
