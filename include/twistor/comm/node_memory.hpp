// SPDX-License-Identifier: Apache-2.0
// A buffer that exists once a node, however many ranks the node has: model weights above all.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "twistor/base/common_memory.hpp"
#include "twistor/comm/communicator.hpp"

namespace twistor::comm {

/// Move-only. Rank 0 of the node fills it, publish() makes that visible, from then on everybody reads. Starts
/// on a page.
class NodeMemory {
 public:
  /// `node` comes from Communicator::node(). Destroying it is collective too. *Collective over node.* Throws
  /// on every rank: Error(config) if the node's shared memory has no room, Error(data) if `bytes` is not the
  /// same on all.
  NodeMemory(const Communicator& node, std::size_t bytes);
  /// The same; where there is no room, none, with a warning in the log. *Collective over node.*
  [[nodiscard]] static std::optional<NodeMemory> if_room(const Communicator& node, std::size_t bytes);
  NodeMemory(NodeMemory&&) noexcept;
  NodeMemory& operator=(NodeMemory&&) noexcept;
  ~NodeMemory();

  /// Written by the writer before publish(), by nobody after it.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept;
  /// Whether this rank is the one that fills it.
  [[nodiscard]] bool is_writer() const noexcept;
  /// After this, every rank of the node sees what the writer has written. *Collective over node.*
  void publish();
  /// The same for one buffer of equal size on every node: rank 0 of `world`, which is the first of its node,
  /// is the only writer, and its bytes go to all nodes before they are published there. *Collective over
  /// world.* Throws Error(data) if sizes differ.
  void publish_from_first(const Communicator& world);

 private:
  struct Window;
  std::unique_ptr<Window> window_;
};

/// Memory of the ranks of a node, each of which writes a part; nullptr where there is no room, with a warning
/// in the log. *Collective over node*, as its end and meet() are.
[[nodiscard]] std::shared_ptr<CommonMemory> common_memory(const Communicator& node, std::size_t bytes);

}  // namespace twistor::comm
