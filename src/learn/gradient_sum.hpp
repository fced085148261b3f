// SPDX-License-Identifier: Apache-2.0
// The gradient of a batch: blocks that come shard by shard, added over shards and ranks in a fixed tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/comm/tree_reduce.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Takes what Trainable::gradient gives for each shard of this rank, and gives the sums group by group:
/// neighbours travel together while they are small, because a sum over ranks costs time however little it
/// adds. Shards are added as soon as the tree allows, so that a rank keeps about log2 of their number.
class GradientSum {
 public:
  /// `parameters` are those of the twist; they and `world` outlive this.
  GradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
              const comm::Communicator& world);

  /// Of local shard i, in the order of shards. A shard whose sink is never called adds nothing.
  [[nodiscard]] twist::GradientSink sink(std::size_t i);

  [[nodiscard]] std::size_t n_groups() const { return groups_.size(); }
  /// The sums over all shards by the parameters of one group; what they were made of is given free.
  /// *Collective over world.*
  [[nodiscard]] std::vector<twist::GradientBlock> take(std::size_t group);

 private:
  struct Group {
    std::size_t begin, end;  // parameters
  };
  [[nodiscard]] std::int64_t width_of(const Group& group) const;
  [[nodiscard]] bool joins(const Group& group, std::size_t parameter) const;
  /// Adds what the tree adds once the local shards up to `last` are there.
  void add_up(std::size_t parameter, std::size_t last);
  /// Local shard i of a group as one matrix: each row has those of the group's parameters one after another.
  /// A dense gradient is one row.
  [[nodiscard]] std::vector<float> joined(const Group& group, std::size_t i, std::size_t n_rows);
  [[nodiscard]] std::vector<twist::GradientBlock> split(const Group& group, comm::RowSparse sum) const;

  std::span<const twist::Parameter> parameters_;
  Shards shards_;
  const comm::Communicator& world_;
  std::vector<Group> groups_;
  std::vector<std::vector<twist::GradientBlock>> blocks_;  // by parameter and local shard
  std::vector<std::size_t> n_added_;  // by parameter: local shards that add_up() has seen
};

}  // namespace twistor::learn
