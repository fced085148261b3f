// Keys and values in blocks of 16 tokens that sequences share: forking copies block numbers, not keys.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "twistor/device/packed_matrix.hpp"
#include "twistor/model/cache.hpp"

namespace twistor::model {

/// Sizes of one decoder's cache. Keys lie transposed, (head_size, 16), so that one vector holds 16 tokens of
/// one coordinate; values lie (16, padded_head_size).
struct KvShape {
  std::int64_t n_layers = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_size = 0;
  device::Precision precision = device::Precision::float32;

  [[nodiscard]] std::int64_t padded_head_size() const { return (head_size + 15) / 16 * 16; }
  [[nodiscard]] std::int64_t key_elements() const { return head_size * block_tokens; }
  [[nodiscard]] std::int64_t value_elements() const { return padded_head_size() * block_tokens; }
  [[nodiscard]] std::int64_t layer_elements() const {
    return n_kv_heads * (key_elements() + value_elements());
  }
  [[nodiscard]] std::int64_t element_bytes() const { return precision == device::Precision::float32 ? 4 : 2; }
  [[nodiscard]] std::int64_t block_bytes() const { return n_layers * layer_elements() * element_bytes(); }
};

class BlockPool;

/// The decoder's Cache. Copies of a cache (fork) share one pool; a block is freed when no table names it.
class KvCache final : public Cache {
 public:
  KvCache(const KvShape& shape, std::int64_t n_sequences);
  ~KvCache() override;
  KvCache& operator=(const KvCache&) = delete;

  [[nodiscard]] std::int64_t n_sequences() const override { return n_sequences_; }
  [[nodiscard]] std::int64_t length() const override { return length_; }
  void select(std::span<const std::int64_t> parents) override;
  [[nodiscard]] std::unique_ptr<Cache> fork() const override;
  [[nodiscard]] std::vector<std::byte> export_sequence(std::int64_t sequence,
                                                       std::int64_t first_block) const override;
  std::int64_t import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                               std::span<const std::byte> bytes) override;
  [[nodiscard]] CacheUse use() const override;

  /// Makes room for `count` more tokens a sequence: new blocks, and private copies of shared last blocks.
  void reserve(std::int64_t count);
  /// Counts `count` tokens as written.
  void advance(std::int64_t count) { length_ += count; }
  /// Start of one sequence's block of one layer: keys of all heads, then values of all heads.
  [[nodiscard]] std::byte* layer_block(std::int64_t sequence, std::int64_t block, std::int64_t layer) const;
  [[nodiscard]] const KvShape& shape() const { return shape_; }

 private:
  KvCache(const KvCache& other);
  [[nodiscard]] std::int64_t n_blocks() const { return (length_ + block_tokens - 1) / block_tokens; }

  KvShape shape_;
  std::shared_ptr<BlockPool> pool_;
  std::int64_t n_sequences_ = 0, length_ = 0;
  std::vector<std::vector<std::int32_t>> tables_;  // one a sequence; an empty table before the first token
};

}  // namespace twistor::model
