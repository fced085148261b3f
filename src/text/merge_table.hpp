// SPDX-License-Identifier: Apache-2.0
// Merging the symbols of a text pair by pair, lowest rank first: the engine of every byte-pair encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/text/vocabulary.hpp"

namespace twistor::text {

/// Symbols are ids of tokens, or numbers after them that a model gives to characters that are no token.
using Symbol = std::int32_t;

/// Pairs of symbols to values, in one array with open addressing.
template <class Value>
class PairMap {
 public:
  /// nullptr if the pair is not there.
  [[nodiscard]] const Value* find(Symbol left, Symbol right) const {
    const Slot& found = slots_[place(key_of(left, right))];
    return found.key == none ? nullptr : &found.value;
  }
  void set(Symbol left, Symbol right, Value value) {
    if (3 * (size_ + 1) > 2 * slots_.size()) grow();
    Slot& slot = slots_[place(key_of(left, right))];
    if (slot.key == none) ++size_;
    slot = {key_of(left, right), value};
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::uint64_t none = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = none;
    Value value{};
  };

  static std::uint64_t key_of(Symbol left, Symbol right) {
    return (std::uint64_t{static_cast<std::uint32_t>(left)} << 32) | static_cast<std::uint32_t>(right);
  }
  // Where a key is, or would be. Fibonacci hashing (Knuth 1998, 6.4) after folding the halves.
  [[nodiscard]] std::size_t place(std::uint64_t key) const {
    const std::uint64_t mixed = (key ^ (key >> 29)) * 0x9e3779b97f4a7c15u;
    std::size_t i = static_cast<std::size_t>(mixed >> 20) & (slots_.size() - 1);
    while (slots_[i].key != key && slots_[i].key != none) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old)
      if (slot.key != none) slots_[place(slot.key)] = slot;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  std::size_t size_ = 0;
};

/// *Local*, immutable once filled.
class MergeTable {
 public:
  /// `size`: of the merged symbol, by any measure that is larger for it than for both halves. Of merges of
  /// the same pair the last one counts.
  void add(Symbol left, Symbol right, Symbol merged, std::int32_t rank, std::size_t size);
  /// Once all merges are there: long texts will be cut where no merge can ever reach across, which changes
  /// nothing but the time. `may_stand_first`: by symbol, whether a text may have it before anything is
  /// merged.
  void learn_cuts(const std::vector<bool>& may_stand_first);

  /// Merges in place, the pair of lowest rank first and of equal ranks the leftmost; returns how many symbols
  /// are left, at the front. O(n log n).
  [[nodiscard]] std::size_t apply(std::span<Symbol> symbols) const;

  [[nodiscard]] std::size_t size() const { return merges_.size(); }

 private:
  struct Merge {
    std::int32_t rank = 0;
    Symbol merged = 0;
  };
  struct Rule {
    Symbol left, right, merged;
    std::size_t size;
  };

  [[nodiscard]] std::size_t merge_few(std::span<Symbol> symbols) const;
  [[nodiscard]] std::size_t merge_many(std::span<Symbol> symbols) const;

  PairMap<Merge> merges_;
  std::vector<Rule> rules_;  // until learn_cuts()
  bool has_cuts_ = false;
  PairMap<char> joints_;  // pairs of first symbols that some merge may reach across
};

}  // namespace twistor::text
