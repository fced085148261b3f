// SPDX-License-Identifier: Apache-2.0
// Adam's state of all parameters, which the ranks of a node share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/learn/adam.hpp"
#include "twistor/learn/state.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Of a large parameter a rank keeps the moments of its own part alone: node rank r of P has the elements
/// [n r / P, n (r + 1) / P), whole rows where the gradient comes as rows. It updates these and the others
/// send theirs, unless they have the values in common. Adam works element by element, so the values have the
/// bits of an undivided step on any number of ranks. The ranks of a node, not of the job, share: they compete
/// for one memory, and new values then cross no network.
class Optimizer {
 public:
  /// Parameters of at least `divided_from` elements are divided. *Collective over world.*
  Optimizer(const comm::Communicator& world, std::size_t divided_from);

  /// One step of one parameter, whose whole gradient every rank has; `step` counts from 1. *Collective over
  /// the ranks of a node*, which are those that have its values in common, if any have.
  void update(const AdamOptions& options, std::int64_t step, const twist::GradientBlock& gradient,
              twist::Parameter& parameter);

  /// Shows the moments of a parameter as "adam_m" and "adam_v", or takes this rank's part of those that are
  /// restored. Saving shows whole ones to the first rank of each node, and empty ones of divided parameters
  /// to the others. *Collective over the ranks of a node.*
  void visit(const twist::Parameter& parameter, StateVisitor& visitor);

  /// Bytes of moments that this rank keeps.
  [[nodiscard]] std::size_t bytes() const;

 private:
  [[nodiscard]] bool is_divided(const twist::Parameter& parameter) const {
    return node_.size() > 1 &&
           (parameter.value.common() != nullptr || parameter.value.size() >= divided_from_);
  }
  /// What this rank keeps of a parameter: some of its rows, each an element where the gradient is dense.
  struct Part {
    std::size_t width = 1, begin = 0, end = 0;  // rows [begin, end)
    std::vector<std::int64_t> elements;         // of every rank of the node
    [[nodiscard]] std::size_t first() const { return begin * width; }
    [[nodiscard]] std::size_t size() const { return (end - begin) * width; }
  };
  [[nodiscard]] Part part_of(const twist::Parameter& parameter) const;

  comm::Communicator node_;
  std::size_t divided_from_;
  std::map<std::string, AdamMoments> moments_;  // by parameter; this rank's part
};

}  // namespace twistor::learn
