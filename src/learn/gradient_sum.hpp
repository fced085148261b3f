// The gradient of a batch: blocks that come shard by shard, added over shards and ranks in a fixed tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Takes what Trainable::gradient gives for each shard of this rank, and gives the sums block by block.
class GradientSum {
 public:
  /// `parameters` are those of the twist and outlive this. This rank holds the shards first_shard, ...
  GradientSum(std::span<const twist::Parameter> parameters, std::size_t n_local, std::int64_t first_shard,
              std::int64_t n_shards);

  /// Of local shard i. A shard whose sink is never called adds zero.
  [[nodiscard]] twist::GradientSink sink(std::size_t i);

  /// The sum over all shards by one parameter; what it was made of is given free. *Collective over world.*
  [[nodiscard]] twist::GradientBlock take(std::size_t parameter, const comm::Communicator& world);

 private:
  std::span<const twist::Parameter> parameters_;
  std::int64_t first_shard_, n_shards_;
  std::vector<std::vector<twist::GradientBlock>> blocks_;  // by parameter and local shard
};

}  // namespace twistor::learn
