// SPDX-License-Identifier: Apache-2.0
// Adam's state of all parameters, which the ranks of a node share, or which lies on each rank's device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/device/engine.hpp"
#include "twistor/learn/adam.hpp"
#include "twistor/learn/state.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::learn {

/// Of a large parameter a rank keeps the moments of its own part alone: node rank r of P has the elements
/// [n r / P, n (r + 1) / P), whole rows where the gradient comes as rows. It updates these and the others
/// send theirs, unless they have the values in common. Adam works element by element, so the values have the
/// bits of an undivided step on any number of ranks. The ranks of a node, not of the job, share: they compete
/// for one memory, and new values then cross no network.
///
/// Where the engine keeps tensors, values and moments are on its device, all of them on each rank's: more
/// memory, and nothing to tell each other.
class Optimizer {
 public:
  /// Parameters of at least `divided_from` elements are divided. *Collective over world.*
  Optimizer(const comm::Communicator& world, std::size_t divided_from,
            std::shared_ptr<const device::Engine> engine);

  /// One step of one parameter, whose whole gradient every rank has, on its engine's device or in main
  /// memory; `step` counts from 1. *Collective over the ranks of a node*, which are those that have its
  /// values in common, if any have.
  void update(const AdamOptions& options, std::int64_t step, const twist::GradientBlock& gradient,
              twist::Parameter& parameter);

  /// Shows the moments of a parameter as "adam_m" and "adam_v", or takes this rank's part of those that are
  /// restored. Saving shows whole ones to the first rank of each node, and empty ones of divided parameters
  /// to the others. *Collective over the ranks of a node.*
  void visit(const twist::Parameter& parameter, StateVisitor& visitor);

  /// Bytes of moments that this rank keeps, wherever.
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Moments {
    at::Tensor m, v;
  };
  [[nodiscard]] bool is_divided(const twist::Parameter& parameter) const {
    return node_.size() > 1 && !engine_->keeps_tensors() &&
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
  std::shared_ptr<const device::Engine> engine_;
  std::map<std::string, Moments> moments_;  // by parameter; this rank's part
};

}  // namespace twistor::learn
