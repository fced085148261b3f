// SPDX-License-Identifier: Apache-2.0
// A set of byte strings that finds the longest one at a place of a text, in time that does not depend on
// their number.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace twistor::text {

/// Keys with values >= 0. *Local*, immutable once filled.
class Trie {
 public:
  using Node = std::uint32_t;
  static constexpr Node root = 0;
  static constexpr Node none = 0xffffffff;

  Trie();
  /// Keys must not be empty; of equal keys the first one counts.
  void insert(std::string_view key, std::int64_t value);

  /// The node one byte further on, or none.
  [[nodiscard]] Node step(Node node, char byte) const;
  /// The node at the end of a path from the root, or none.
  [[nodiscard]] Node walk(std::string_view path) const;
  /// The value of the key that ends at a node, -1 if none does.
  [[nodiscard]] std::int64_t value(Node node) const { return values_[node]; }

  struct Match {
    std::int64_t value = -1;  ///< -1: no key
    std::size_t size = 0;     ///< bytes after `from`
  };
  /// The longest key that is the path of `from` followed by the first bytes of a text.
  [[nodiscard]] Match longest(std::string_view text, Node from = root) const;

 private:
  struct Slot {
    std::uint64_t key = 0;  ///< parent and byte, plus 1; 0 is free
    Node child = none;
  };

  void grow();
  Slot& slot(std::uint64_t key);
  [[nodiscard]] std::size_t home(std::uint64_t key) const;

  std::vector<std::int64_t> values_;     ///< by node
  std::array<Node, 256> root_children_;  ///< beside the table: most places of a text end here
  std::vector<Slot> slots_;              ///< open addressing, a power of two of them
  std::size_t n_used_ = 0;
};

}  // namespace twistor::text
