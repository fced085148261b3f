// SPDX-License-Identifier: Apache-2.0
// A trie whose edges are in one hash table.
#include "twistor/text/trie.hpp"

#include <bit>

#include "twistor/base/error.hpp"

namespace twistor::text {
namespace {

std::size_t index_of(char byte) {
  return static_cast<unsigned char>(byte);
}

std::uint64_t edge_key(Trie::Node node, char byte) {
  return ((std::uint64_t{node} << 8) | index_of(byte)) + 1;
}

}  // namespace

Trie::Trie() : values_{-1}, slots_(16) {
  root_children_.fill(none);
}

std::size_t Trie::home(std::uint64_t key) const {
  // Fibonacci hashing (Knuth 1998, 6.4): the top bits of a product with 2^64 / phi.
  return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15u) >> (64 - std::countr_zero(slots_.size())));
}

Trie::Slot& Trie::slot(std::uint64_t key) {
  std::size_t i = home(key);
  while (slots_[i].key != 0 && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
  return slots_[i];
}

void Trie::grow() {
  std::vector<Slot> old(2 * slots_.size());
  old.swap(slots_);
  for (const Slot& entry : old)
    if (entry.key != 0) slot(entry.key) = entry;
}

void Trie::insert(std::string_view key, std::int64_t value) {
  TWISTOR_ASSERT(!key.empty() && value >= 0, "a key of a trie is empty or its value negative");
  Node node = root;
  for (const char byte : key) {
    Node next = step(node, byte);
    if (next == none) {
      next = static_cast<Node>(values_.size());
      values_.push_back(-1);
      if (node == root) {
        root_children_[index_of(byte)] = next;
      } else {
        if (2 * ++n_used_ > slots_.size()) grow();
        slot(edge_key(node, byte)) = {edge_key(node, byte), next};
      }
    }
    node = next;
  }
  if (values_[node] < 0) values_[node] = value;
}

Trie::Node Trie::step(Node node, char byte) const {
  if (node == root) return root_children_[index_of(byte)];
  const std::uint64_t key = edge_key(node, byte);
  for (std::size_t i = home(key);; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].key == key) return slots_[i].child;
    if (slots_[i].key == 0) return none;
  }
}

Trie::Node Trie::walk(std::string_view path) const {
  Node node = root;
  for (std::size_t i = 0; i < path.size() && node != none; ++i) node = step(node, path[i]);
  return node;
}

Trie::Match Trie::longest(std::string_view text, Node from) const {
  Match best;
  Node node = from;
  for (std::size_t i = 0; i < text.size() && node != none; ++i) {
    node = step(node, text[i]);
    if (node != none && values_[node] >= 0) best = {values_[node], i + 1};
  }
  return best;
}

}  // namespace twistor::text
