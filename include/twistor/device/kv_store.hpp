// SPDX-License-Identifier: Apache-2.0
// Memory for keys and values in blocks of 16 tokens, by number; which sequence owns which is the model
// room's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "twistor/device/packed_matrix.hpp"

namespace twistor::device {

/// Sizes of one decoder's keys and values.
struct KvShape {
  std::int64_t n_layers = 0;
  std::int64_t n_kv_heads = 0;
  std::int64_t head_size = 0;
  Precision precision = Precision::float32;

  bool operator==(const KvShape&) const = default;
  [[nodiscard]] std::int64_t element_bytes() const { return precision == Precision::float32 ? 4 : 2; }
};

/// Blocks are numbered from 0; each holds the keys and values of all layers. A block's bytes have a meaning
/// for stores of the same engine and shape alone. *Local.*
class KvStore {
 public:
  virtual ~KvStore() = default;
  [[nodiscard]] virtual const KvShape& shape() const = 0;
  [[nodiscard]] virtual std::int64_t block_bytes() const = 0;
  /// Blocks there is memory for.
  [[nodiscard]] virtual std::int64_t capacity() const = 0;
  /// So many blocks at the most will be there at a time, as far as one knows: how much grow() had best make
  /// room for. Nothing where memory comes in small pieces anyway.
  virtual void expect(std::int64_t /*blocks*/) {}
  /// Makes room for more blocks; those that are there keep number and content.
  virtual void grow() = 0;
  /// Called before blocks are written for the first time or anew: afterwards they hold finite numbers.
  virtual void clear(std::span<const std::int32_t> blocks) = 0;
  /// Copies block from[i] to block to[i].
  virtual void copy(std::span<const std::int32_t> from, std::span<const std::int32_t> to) = 0;
  /// Bytes of some blocks, one after the other, (blocks.size() * block_bytes()).
  virtual void read(std::span<const std::int32_t> blocks, std::span<std::byte> out) const = 0;
  virtual void write(std::span<const std::int32_t> blocks, std::span<const std::byte> bytes) = 0;
  /// The same bytes as a tensor where the blocks lie, (blocks.size(), block_bytes()) uint8, contiguous.
  [[nodiscard]] virtual at::Tensor gather(std::span<const std::int32_t> blocks) const;
  virtual void scatter(std::span<const std::int32_t> blocks, const at::Tensor& rows);
};

/// Some neighbouring sequences of a cache, each with as many new tokens from one position on.
struct KvRows {
  KvStore* store = nullptr;
  std::span<const std::int32_t> table;  ///< (n_sequences, blocks_each), block numbers in the order of tokens
  std::int64_t n_sequences = 0;
  std::int64_t blocks_each = 0;
  std::int64_t position = 0;  ///< of the first new token
  std::int64_t n_tokens = 0;  ///< new ones a sequence
  [[nodiscard]] std::int64_t size() const { return n_sequences * n_tokens; }
};

}  // namespace twistor::device
