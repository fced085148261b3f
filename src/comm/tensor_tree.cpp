// SPDX-License-Identifier: Apache-2.0
// The fixed tree over tensors on a device.
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_add.h>

#include <algorithm>
#include <iterator>

#include "tree_leaves.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/comm/tree_reduce.hpp"

namespace twistor::comm {
namespace {

struct TensorSteps {
  std::vector<at::Tensor>& leaves;
  TensorCollectives* tensors;  // nullptr: there is one rank

  void add(std::size_t to, std::size_t from) const { leaves[to].add_(leaves[from]); }
  void send_to(std::size_t leaf, int rank) const { tensors->send(leaves[leaf], rank); }
  void add_from(std::size_t leaf, int rank) const {
    at::Tensor other = at::empty_like(leaves[leaf]);
    tensors->recv(other, rank);
    leaves[leaf].add_(other);
  }
};

/// Places of `rows` among `all`, both increasing, on a device.
at::Tensor places(std::span<const std::int64_t> rows, std::span<const std::int64_t> all, at::Device device) {
  std::vector<std::int64_t> out;
  out.reserve(rows.size());
  std::size_t at = 0;
  for (const std::int64_t row : rows) {
    while (at < all.size() && all[at] != row) ++at;
    TWISTOR_ASSERT(at < all.size(), "rows are among those that they are spread over");
    out.push_back(static_cast<std::int64_t>(at));
  }
  at::Tensor host = at::empty({static_cast<std::int64_t>(out.size())}, at::kLong);
  std::ranges::copy(out, host.mutable_data_ptr<std::int64_t>());
  return host.to(device);
}

}  // namespace

at::Tensor spread(const RowTensor& from, std::span<const std::int64_t> rows) {
  if (std::ranges::equal(from.rows, rows)) return from.values;
  // -0 + x is x for every x, zeros with their sign included.
  at::Tensor out =
      at::full({static_cast<std::int64_t>(rows.size()), from.values.size(1)}, -0.0F, from.values.options());
  if (!from.rows.empty()) out.index_add_(0, places(from.rows, rows, out.device()), from.values);
  return out;
}

RowTensor merge(const RowTensor& left, const RowTensor& right) {
  RowTensor sum;
  std::ranges::set_union(left.rows, right.rows, std::back_inserter(sum.rows));
  sum.values = spread(left, sum.rows);
  if (sum.values.is_same(left.values)) sum.values = sum.values.clone();
  // Each row is there once, so that nothing depends on an order.
  if (!right.rows.empty())
    sum.values.index_add_(0, places(right.rows, sum.rows, sum.values.device()), right.values);
  return sum;
}

std::vector<std::int64_t> all_rows(std::span<const std::int64_t> mine, const Communicator& comm) {
  std::vector<std::int64_t> all = all_gather(mine, comm);
  std::ranges::sort(all);
  const auto repeated = std::ranges::unique(all);
  all.erase(repeated.begin(), repeated.end());
  return all;
}

at::Tensor tree_all_reduce(std::vector<at::Tensor> my_shards, std::int64_t first_shard, std::int64_t n_shards,
                           const at::Tensor& like, const Communicator& comm) {
  TensorCollectives* const tensors = comm.tensors();
  TWISTOR_ASSERT(tensors != nullptr || comm.size() == 1, "somebody carries tensors between these ranks");
  for (const at::Tensor& shard : my_shards)
    TWISTOR_ASSERT(shard.sizes() == like.sizes() && shard.scalar_type() == at::kFloat,
                   "leaves have the shape of their sum");
  const TreeLeaves leaves(first_shard, my_shards.size(), n_shards, like.numel(), comm);
  TensorSteps steps{my_shards, tensors};
  visit_tree(leaves, 0, n_shards, steps);
  at::Tensor sum = my_shards.empty() ? at::empty_like(like) : my_shards.front();
  if (tensors != nullptr) tensors->broadcast(sum, leaves.owner(0));
  return sum;
}

}  // namespace twistor::comm
