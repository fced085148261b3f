// SPDX-License-Identifier: Apache-2.0
// What a language model remembers of a batch of sequences; a value that forks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace twistor::device {
class KvStore;
}

namespace twistor::model {

/// Tokens in one block of a cache: the unit of sharing and of migration.
inline constexpr std::int64_t block_tokens = 16;

/// How much memory a cache holds, against what one contiguous copy per sequence would.
struct CacheUse {
  std::int64_t live_blocks = 0;   ///< blocks that some sequence of this cache or of its forks refers to
  std::int64_t dense_blocks = 0;  ///< blocks if every sequence owned all of its own
  std::int64_t live_bytes = 0;
  std::int64_t copied_blocks = 0;  ///< partial blocks copied on write since the cache was made
};

/// Blocks whose content travels as tensors, apart from a sequence's bytes. Both sides name as many of each
/// store, in one order, if they take the same sequences in the same order.
class BlocksApart {
 public:
  struct OfStore {
    device::KvStore* store = nullptr;
    std::vector<std::int32_t> blocks;
  };
  void add(device::KvStore& store, std::span<const std::int32_t> blocks);
  [[nodiscard]] const std::vector<OfStore>& all() const { return all_; }

 private:
  std::vector<OfStore> all_;
};

/// The past of n sequences of one common length. *Local.*
class Cache {
 public:
  virtual ~Cache() = default;
  [[nodiscard]] virtual std::int64_t n_sequences() const = 0;
  [[nodiscard]] virtual std::int64_t length() const = 0;

  /// Replaces the sequences: new sequence i continues old sequence parents[i]. Shares whole blocks; copies at
  /// most the partly filled last block, and that only when a second child writes to it. parents: values in
  /// [0, n_sequences()).
  virtual void select(std::span<const std::int64_t> parents) = 0;

  /// That there will be at the most so many sequences of so many tokens more, beside what other forks hold:
  /// memory is then made at once rather than as it is needed. A hint, and never an error.
  virtual void expect(std::int64_t /*n_sequences*/, std::int64_t /*n_tokens*/) {}

  /// A second cache that shares every block with this one.
  [[nodiscard]] virtual std::unique_ptr<Cache> fork() const = 0;

  /// Bytes of blocks [first_block, n_blocks) of one sequence, for a peer that holds the earlier ones.
  [[nodiscard]] virtual std::vector<std::byte> export_sequence(std::int64_t sequence,
                                                               std::int64_t first_block) const = 0;

  /// Appends a sequence: blocks before `first_block` are shared with local sequence donors[b] (one donor a
  /// block), the rest is read from `bytes`. Returns its index. Throws Error(data) if the bytes do not fit.
  virtual std::int64_t import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                                       std::span<const std::byte> bytes) = 0;

  /// The same for blocks that lie on a device: they are added to `apart`, and the bytes have only what else
  /// there is. After import_apart() somebody fills them, before the cache is used.
  [[nodiscard]] virtual std::vector<std::byte> export_apart(std::int64_t sequence, std::int64_t first_block,
                                                            BlocksApart& /*apart*/) const {
    return export_sequence(sequence, first_block);
  }
  virtual std::int64_t import_apart(std::span<const std::int64_t> donors, std::int64_t first_block,
                                    std::span<const std::byte> bytes, BlocksApart& /*apart*/) {
    return import_sequence(donors, first_block, bytes);
  }

  [[nodiscard]] virtual CacheUse use() const = 0;
};

}  // namespace twistor::model
