// SPDX-License-Identifier: Apache-2.0
// Keys and values in blocks of 16 tokens that sequences share: forking copies block numbers, not keys.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "twistor/device/engine.hpp"
#include "twistor/model/cache.hpp"

namespace twistor::model {

class BlockPool;

/// The decoder's Cache. Copies of a cache (fork) share one pool; a block is freed when no table names it.
class KvCache final : public Cache {
 public:
  KvCache(const device::Engine& engine, const device::KvShape& shape, std::int64_t n_sequences);
  ~KvCache() override;
  KvCache& operator=(const KvCache&) = delete;

  [[nodiscard]] std::int64_t n_sequences() const override { return n_sequences_; }
  [[nodiscard]] std::int64_t length() const override { return length_; }
  void select(std::span<const std::int64_t> parents) override;
  void expect(std::int64_t n_sequences, std::int64_t n_tokens) override;
  [[nodiscard]] std::unique_ptr<Cache> fork() const override;
  [[nodiscard]] std::vector<std::byte> export_sequence(std::int64_t sequence,
                                                       std::int64_t first_block) const override;
  std::int64_t import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                               std::span<const std::byte> bytes) override;
  [[nodiscard]] std::vector<std::byte> export_apart(std::int64_t sequence, std::int64_t first_block,
                                                    BlocksApart& apart) const override;
  std::int64_t import_apart(std::span<const std::int64_t> donors, std::int64_t first_block,
                            std::span<const std::byte> bytes, BlocksApart& apart) override;
  [[nodiscard]] CacheUse use() const override;

  /// Makes room for `count` more tokens a sequence: new blocks, and private copies of shared last blocks.
  void reserve(std::int64_t count);
  /// Counts `count` tokens as written.
  void advance(std::int64_t count) { length_ += count; }
  /// The next `count` tokens, reserved, of the sequences [begin, end).
  [[nodiscard]] device::KvRows rows(std::int64_t begin, std::int64_t end, std::int64_t count) const;

 private:
  KvCache(const KvCache& other);
  void release_all();
  /// A sequence that shares its first blocks with donors; gives the blocks of its own, in which nothing is
  /// yet.
  [[nodiscard]] std::vector<std::int32_t> append(std::span<const std::int64_t> donors,
                                                 std::int64_t first_block);
  [[nodiscard]] std::span<const std::int32_t> table_of(std::int64_t sequence) const {
    return std::span(tables_).subspan(static_cast<std::size_t>(sequence * blocks_each_),
                                      static_cast<std::size_t>(blocks_each_));
  }

  std::shared_ptr<BlockPool> pool_;
  std::int64_t n_sequences_ = 0, length_ = 0;
  std::int64_t blocks_each_ = 0;      // of a sequence; all have as many
  std::vector<std::int32_t> tables_;  // (n_sequences, blocks_each)
};

}  // namespace twistor::model
