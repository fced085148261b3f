// SPDX-License-Identifier: Apache-2.0
// Sums of float32 gradients whose bits do not depend on the number of ranks: fixed shards, added in a fixed
// tree.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Sums n_shards leaves of equal length in the binary tree in which the node [a, b) is leaf a if b = a + 1,
/// and else the sum [a, m) + [m, b) with m = a + ceil((b - a) / 2). Every element of the result therefore
/// comes from the same additions in the same order on any number of ranks.
///
/// This rank holds the leaves first_shard, ..., first_shard + my_shards.size() - 1; the ranks' ranges follow
/// each other in rank order, cover [0, n_shards) and may be empty. The leaves are used as scratch. `out` gets
/// the sum on every rank; it may be one of the leaves. *Collective over comm*: one small gather, messages up
/// the tree (a node lives on the rank of its first leaf), one broadcast. Throws Error(internal) on every rank
/// if ranges or lengths do not fit together.
void tree_all_reduce(std::vector<std::span<float>> my_shards, std::int64_t first_shard, std::int64_t n_shards,
                     std::span<float> out, const Communicator& comm);

/// The rows of a gradient that are not zero: row rows[i] has the values values[i * width], ..., (n, width).
struct RowSparse {
  std::vector<std::int64_t> rows;  ///< increasing
  std::vector<float> values;       ///< rows.size() * width
  std::int64_t width = 0;

  friend bool operator==(const RowSparse&, const RowSparse&) = default;
};

/// Nodes of that tree whose last leaf is `last` and whose first is `first` or later, from the smallest to the
/// largest: those that can be added when `last` has come and the leaves from `first` on are there already.
/// The value of a node lives in the place of its first leaf.
struct TreeNode {
  std::int64_t left = 0, right = 0;  ///< first leaves of its two halves: [left, right) + [right, last]
  friend bool operator==(const TreeNode&, const TreeNode&) = default;
};
[[nodiscard]] std::vector<TreeNode> tree_nodes_ending_with(std::int64_t last, std::int64_t first,
                                                           std::int64_t n_shards);

/// left + right, row by row, as the tree adds them. *Local.*
[[nodiscard]] RowSparse merge(const RowSparse& left, const RowSparse& right);

/// The same sum over leaves that hold different rows; a row that only one side of a node has is taken over
/// unchanged. `width` must agree. *Collective over comm.* Throws Error(internal) if a leaf is not well
/// formed.
[[nodiscard]] RowSparse tree_all_reduce(std::vector<RowSparse> my_shards, std::int64_t first_shard,
                                        std::int64_t n_shards, const Communicator& comm);

/// Row-sparse gradients whose values lie on a device: (rows.size(), width), float32.
struct RowTensor {
  std::vector<std::int64_t> rows;  ///< increasing
  at::Tensor values;
};

/// left + right with the bits of merge() for RowSparse. *Local.*
[[nodiscard]] RowTensor merge(const RowTensor& left, const RowTensor& right);

/// The same sum of leaves of one shape, float32 on comm.tensors()->device(), with the same bits; the leaves
/// are scratch. `like` has that shape, for a rank without leaves; it may be a leaf. *Collective over comm*,
/// whose tensors() carry it.
[[nodiscard]] at::Tensor tree_all_reduce(std::vector<at::Tensor> my_shards, std::int64_t first_shard,
                                         std::int64_t n_shards, const at::Tensor& like,
                                         const Communicator& comm);

/// The rows that any rank has. *Collective over comm.*
[[nodiscard]] std::vector<std::int64_t> all_rows(std::span<const std::int64_t> mine,
                                                 const Communicator& comm);

/// `from`, spread over more rows: those it lacks hold what changes no sum. Its rows are among them. *Local.*
[[nodiscard]] at::Tensor spread(const RowTensor& from, std::span<const std::int64_t> rows);

}  // namespace twistor::comm
