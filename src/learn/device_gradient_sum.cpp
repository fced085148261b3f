// SPDX-License-Identifier: Apache-2.0
// Sums of gradients on a device.
#include "device_gradient_sum.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>

#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/comm/tensor_collectives.hpp"

namespace twistor::learn {

DeviceGradientSum::DeviceGradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
                                     const comm::Communicator& world, bool in_any_order)
    : GradientSum(parameters, shards, world), in_any_order_(in_any_order), blocks_(parameters.size()) {
  for (auto& of_shards : blocks_) of_shards.resize(static_cast<std::size_t>(shards.n_local));
}

void DeviceGradientSum::put(std::size_t parameter, std::size_t shard, twist::GradientBlock block) {
  blocks_[parameter][shard] = {std::move(block.rows),
                               block.values.reshape({-1, static_cast<std::int64_t>(row_size(parameter))})};
}

void DeviceGradientSum::merge(std::size_t parameter, std::size_t to_shard, std::size_t from_shard) {
  comm::RowTensor &to = blocks_[parameter][to_shard], &from = blocks_[parameter][from_shard];
  if (!to.values.defined())
    to = std::move(from);
  else if (from.values.defined() && has_rows(parameter))
    to = comm::merge(to, from);
  else if (from.values.defined())
    to.values.add_(from.values);
  from = {};
}

std::vector<std::int64_t> DeviceGradientSum::rows_of(const Group& group) const {
  std::vector<std::int64_t> mine;
  for (const comm::RowTensor& block : blocks_[group.begin])
    mine.insert(mine.end(), block.rows.begin(), block.rows.end());
  return comm::all_rows(mine, world_);
}

at::Tensor DeviceGradientSum::joined(const Group& group, std::size_t shard,
                                     std::span<const std::int64_t> rows) {
  std::vector<at::Tensor> parts;
  for (std::size_t p = group.begin; p < group.end; ++p) {
    const comm::RowTensor block = std::exchange(blocks_[p][shard], {});
    if (!block.values.defined()) return {};
    parts.push_back(has_rows(p) ? comm::spread(block, rows) : block.values);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 1);
}

GradientSum::Joined DeviceGradientSum::sum(const Group& group) {
  std::vector<std::int64_t> rows;
  if (has_rows(group.begin)) rows = rows_of(group);
  comm::TensorCollectives* const tensors = world_.tensors();
  std::vector<at::Tensor> leaves;
  for (std::size_t i = 0; i < blocks_[group.begin].size(); ++i) leaves.push_back(joined(group, i, rows));
  at::Device device = tensors != nullptr ? tensors->device() : at::Device(at::kCPU);
  for (const at::Tensor& leaf : leaves)
    if (leaf.defined()) device = leaf.device();
  const std::int64_t n_rows = has_rows(group.begin) ? static_cast<std::int64_t>(rows.size()) : 1;
  const auto nothing = [&] {
    return at::full({n_rows, width_of(group)}, -0.0F, at::TensorOptions().dtype(at::kFloat).device(device));
  };
  for (at::Tensor& leaf : leaves)
    if (!leaf.defined()) leaf = nothing();

  at::Tensor all;
  if (in_any_order_ && tensors != nullptr) {
    all = leaves.empty() ? nothing() : leaves.front();
    for (std::size_t i = 1; i < leaves.size(); ++i) all.add_(leaves[i]);
    tensors->all_reduce_sum(all);
  } else {
    const at::Tensor like = leaves.empty() ? nothing() : leaves.front();
    all = comm::tree_all_reduce(std::move(leaves), shards_.first, shards_.n_all, like, world_);
  }
  if (tensors != nullptr) tensors->wait();
  return {std::move(rows), std::move(all)};
}

}  // namespace twistor::learn
