// SPDX-License-Identifier: Apache-2.0
// Block tables, reference counts and the pool behind them.
#include "twistor/model/kv_cache.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "twistor/base/error.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::model {

static_assert(block_tokens == device::kv_block_tokens);

/// Counts who refers to which block of a store.
class BlockPool {
 public:
  explicit BlockPool(std::unique_ptr<device::KvStore> store) : store_(std::move(store)) {}

  /// `n` blocks of one owner each.
  std::vector<std::int32_t> acquire(std::int64_t n) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(n));
    for (std::int32_t& id : out) {
      if (free_.empty()) grow();
      id = free_.back();
      free_.pop_back();
      references_[static_cast<std::size_t>(id)] = 1;
    }
    live_ += n;
    store_->clear(out);
    return out;
  }
  void share(std::int32_t id) { ++references_[static_cast<std::size_t>(id)]; }
  void release(std::int32_t id) {
    if (--references_[static_cast<std::size_t>(id)] == 0) {
      free_.push_back(id);
      --live_;
    }
  }
  [[nodiscard]] bool is_shared(std::int32_t id) const {
    return references_[static_cast<std::size_t>(id)] > 1;
  }
  [[nodiscard]] device::KvStore& store() { return *store_; }
  [[nodiscard]] std::int64_t live() const { return live_; }
  std::int64_t copied = 0;

 private:
  void grow() {
    store_->grow();
    const auto first = static_cast<std::int32_t>(references_.size());
    references_.resize(static_cast<std::size_t>(store_->capacity()));
    for (auto i = static_cast<std::int32_t>(references_.size()); i-- > first;) free_.push_back(i);
  }

  std::unique_ptr<device::KvStore> store_;
  std::int64_t live_ = 0;
  std::vector<std::int32_t> references_;
  std::vector<std::int32_t> free_;
};

KvCache::KvCache(const device::Engine& engine, const device::KvShape& shape, std::int64_t n_sequences)
    : pool_(std::make_shared<BlockPool>(engine.make_kv_store(shape))), n_sequences_(n_sequences) {}

KvCache::KvCache(const KvCache& other)
    : Cache(other),
      pool_(other.pool_),
      n_sequences_(other.n_sequences_),
      length_(other.length_),
      blocks_each_(other.blocks_each_),
      tables_(other.tables_) {
  for (const std::int32_t id : tables_) pool_->share(id);
}

KvCache::~KvCache() {
  release_all();
}

void KvCache::release_all() {
  for (const std::int32_t id : tables_) pool_->release(id);
}

std::unique_ptr<Cache> KvCache::fork() const {
  return std::unique_ptr<Cache>(new KvCache(*this));
}

void KvCache::select(std::span<const std::int64_t> parents) {
  std::vector<std::int32_t> next;
  next.reserve(parents.size() * static_cast<std::size_t>(blocks_each_));
  for (const std::int64_t parent : parents) {
    TWISTOR_ASSERT(parent >= 0 && parent < n_sequences_,
                   "a cache was asked to continue a sequence it does not hold");
    const auto table = table_of(parent);
    next.insert(next.end(), table.begin(), table.end());
  }
  for (const std::int32_t id : next) pool_->share(id);
  release_all();
  tables_ = std::move(next);
  n_sequences_ = static_cast<std::int64_t>(parents.size());
}

void KvCache::expect(std::int64_t n_sequences, std::int64_t n_tokens) {
  // The block that the shared past ends in is copied by all who go on in it.
  const std::int64_t each = (length_ + n_tokens + block_tokens - 1) / block_tokens - length_ / block_tokens;
  pool_->store().expect(pool_->live() + n_sequences * each);
}

void KvCache::reserve(std::int64_t count) {
  // A partly filled last block that others share is copied before its sequence writes into it.
  if (length_ % block_tokens != 0) {
    std::vector<std::int32_t> shared;
    std::vector<std::size_t> places;
    for (std::int64_t i = 0; i < n_sequences_; ++i) {
      const auto last = static_cast<std::size_t>((i + 1) * blocks_each_ - 1);
      if (!pool_->is_shared(tables_[last])) continue;
      shared.push_back(tables_[last]);
      places.push_back(last);
      pool_->release(tables_[last]);  // the last of those that share it keeps it
    }
    const auto own = pool_->acquire(static_cast<std::int64_t>(shared.size()));
    pool_->store().copy(shared, own);
    for (std::size_t i = 0; i < own.size(); ++i) tables_[places[i]] = own[i];
    pool_->copied += static_cast<std::int64_t>(own.size());
  }
  const std::int64_t needed = (length_ + count + block_tokens - 1) / block_tokens,
                     more = needed - blocks_each_;
  if (more <= 0) return;
  const auto own = pool_->acquire(n_sequences_ * more);
  std::vector<std::int32_t> tables;
  tables.reserve(static_cast<std::size_t>(n_sequences_ * needed));
  for (std::int64_t i = 0; i < n_sequences_; ++i) {
    const auto table = table_of(i);
    tables.insert(tables.end(), table.begin(), table.end());
    tables.insert(tables.end(), own.begin() + i * more, own.begin() + (i + 1) * more);
  }
  tables_ = std::move(tables);
  blocks_each_ = needed;
}

device::KvRows KvCache::rows(std::int64_t begin, std::int64_t end, std::int64_t count) const {
  return {&pool_->store(),
          std::span(tables_).subspan(static_cast<std::size_t>(begin * blocks_each_),
                                     static_cast<std::size_t>((end - begin) * blocks_each_)),
          end - begin,
          blocks_each_,
          length_,
          count};
}

std::vector<std::byte> KvCache::export_sequence(std::int64_t sequence, std::int64_t first_block) const {
  const auto blocks = table_of(sequence).subspan(static_cast<std::size_t>(first_block));
  std::vector<std::byte> out(blocks.size() * static_cast<std::size_t>(pool_->store().block_bytes()));
  pool_->store().read(blocks, out);
  return out;
}

std::vector<std::int32_t> KvCache::append(std::span<const std::int64_t> donors, std::int64_t first_block) {
  std::vector<std::int32_t> table;
  for (std::int64_t b = 0; b < first_block; ++b) {
    table.push_back(table_of(donors[static_cast<std::size_t>(b)])[static_cast<std::size_t>(b)]);
    pool_->share(table.back());
  }
  std::vector<std::int32_t> own = pool_->acquire(blocks_each_ - first_block);
  table.insert(table.end(), own.begin(), own.end());
  tables_.insert(tables_.end(), table.begin(), table.end());
  ++n_sequences_;
  return own;
}

std::int64_t KvCache::import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                                      std::span<const std::byte> bytes) {
  const std::int64_t n_new = blocks_each_ - first_block, block_bytes = pool_->store().block_bytes();
  TWISTOR_CHECK(
      static_cast<std::int64_t>(donors.size()) == first_block &&
          static_cast<std::int64_t>(bytes.size()) == n_new * block_bytes,
      ErrorKind::data, "receiving a sequence from another rank",
      fmt::format("expected {} blocks of {} bytes, got {} bytes", n_new, block_bytes, bytes.size()));
  pool_->store().write(append(donors, first_block), bytes);
  return n_sequences_ - 1;
}

void BlocksApart::add(device::KvStore& store, std::span<const std::int32_t> blocks) {
  auto of_store = std::ranges::find(all_, &store, &OfStore::store);
  if (of_store == all_.end()) of_store = all_.insert(of_store, {&store, {}});
  of_store->blocks.insert(of_store->blocks.end(), blocks.begin(), blocks.end());
}

std::vector<std::byte> KvCache::export_apart(std::int64_t sequence, std::int64_t first_block,
                                             BlocksApart& apart) const {
  apart.add(pool_->store(), table_of(sequence).subspan(static_cast<std::size_t>(first_block)));
  return {};
}

std::int64_t KvCache::import_apart(std::span<const std::int64_t> donors, std::int64_t first_block,
                                   std::span<const std::byte> bytes, BlocksApart& apart) {
  TWISTOR_CHECK(static_cast<std::int64_t>(donors.size()) == first_block && bytes.empty(), ErrorKind::data,
                "receiving a sequence from another rank",
                fmt::format("its blocks travel apart, and there are {} bytes", bytes.size()));
  apart.add(pool_->store(), append(donors, first_block));
  return n_sequences_ - 1;
}

CacheUse KvCache::use() const {
  CacheUse use;
  use.live_blocks = pool_->live();
  use.dense_blocks = static_cast<std::int64_t>(tables_.size());
  use.live_bytes = use.live_blocks * pool_->store().block_bytes();
  use.copied_blocks = pool_->copied;
  return use;
}

}  // namespace twistor::model
