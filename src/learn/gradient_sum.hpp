// SPDX-License-Identifier: Apache-2.0
// The gradient of a batch: blocks that come shard by shard, added over shards and ranks in a fixed tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/batch.hpp"
#include "twistor/learn/options.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Takes what Trainable::gradient gives for each shard of this rank, and gives the sums group by group:
/// neighbours travel together while they are small, because a sum over ranks costs time however little it
/// adds. Shards are added as soon as the tree allows, so that a rank keeps about log2 of their number.
class GradientSum {
 public:
  virtual ~GradientSum() = default;
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  /// Of local shard i, in the order of shards. A shard whose sink is never called adds nothing.
  [[nodiscard]] twist::GradientSink sink(std::size_t i);

  [[nodiscard]] std::size_t n_groups() const { return groups_.size(); }
  /// The sums over all shards by the parameters of one group, where they were added; what they were made of
  /// is given free. *Collective over world.*
  [[nodiscard]] std::vector<twist::GradientBlock> take(std::size_t group);

 protected:
  struct Group {
    std::size_t begin, end;  // parameters
    [[nodiscard]] std::size_t size() const { return end - begin; }
  };
  /// Of a group: one row for each of `rows`, or a single one where gradients are dense, in which those of its
  /// parameters stand one after another, (n, width_of(group)) float32.
  struct Joined {
    std::vector<std::int64_t> rows;
    at::Tensor values;
  };
  /// `parameters` are those of the twist; they and `world` outlive this.
  GradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
              const comm::Communicator& world);

  [[nodiscard]] bool has_rows(std::size_t parameter) const { return parameters_[parameter].has_row_gradient; }
  [[nodiscard]] std::int64_t width_of(const Group& group) const;
  /// Floats of a parameter in each row.
  [[nodiscard]] std::size_t row_size(std::size_t parameter) const;

  virtual void put(std::size_t parameter, std::size_t shard, twist::GradientBlock block) = 0;
  /// to += from, of one parameter's local shards, either of which may have nothing.
  virtual void merge(std::size_t parameter, std::size_t to, std::size_t from) = 0;
  [[nodiscard]] virtual Joined sum(const Group& group) = 0;

  std::span<const twist::Parameter> parameters_;
  Shards shards_;
  const comm::Communicator& world_;

 private:
  [[nodiscard]] bool joins(const Group& group, std::size_t parameter) const;
  /// Adds what the tree adds once the local shards up to `last` are there.
  void add_up(std::size_t parameter, std::size_t last);
  [[nodiscard]] std::vector<twist::GradientBlock> split(const Group& group, Joined sum) const;

  std::vector<Group> groups_;
  std::vector<std::size_t> n_added_;  // by parameter: local shards that add_up() has seen
};

/// As `way` says; on a device world.tensors() carry the sums, if there are several ranks.
[[nodiscard]] std::unique_ptr<GradientSum> make_gradient_sum(GradientSums way,
                                                             std::span<const twist::Parameter> parameters,
                                                             const Shards& shards,
                                                             const comm::Communicator& world);

}  // namespace twistor::learn
