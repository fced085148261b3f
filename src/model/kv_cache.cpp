// Block tables, reference counts and the pool behind them.
#include "twistor/model/kv_cache.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::model {

/// Owns the blocks. Blocks come zeroed, so lanes after the last token hold finite numbers.
class BlockPool {
 public:
  explicit BlockPool(std::int64_t block_bytes)
      : block_bytes_(block_bytes),
        per_slab_(std::max<std::int64_t>(1, (std::int64_t{4} << 20) / block_bytes)) {}

  std::int32_t acquire() {
    if (free_.empty()) grow();
    const std::int32_t id = free_.back();
    free_.pop_back();
    references_[static_cast<std::size_t>(id)] = 1;
    ++live_;
    std::memset(data(id), 0, static_cast<std::size_t>(block_bytes_));
    return id;
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
  [[nodiscard]] std::byte* data(std::int32_t id) const {
    return slabs_[static_cast<std::size_t>(id / per_slab_)].get() + (id % per_slab_) * block_bytes_;
  }
  [[nodiscard]] std::int64_t live() const { return live_; }
  [[nodiscard]] std::int64_t block_bytes() const { return block_bytes_; }
  std::int64_t copied = 0;

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { ::operator delete[](p, std::align_val_t{64}); }
  };
  void grow() {
    slabs_.emplace_back(static_cast<std::byte*>(
        ::operator new[](static_cast<std::size_t>(per_slab_ * block_bytes_), std::align_val_t{64})));
    const auto first = static_cast<std::int32_t>(references_.size());
    references_.resize(references_.size() + static_cast<std::size_t>(per_slab_));
    for (std::int64_t i = per_slab_ - 1; i >= 0; --i) free_.push_back(first + static_cast<std::int32_t>(i));
  }

  std::int64_t block_bytes_, per_slab_, live_ = 0;
  std::vector<std::unique_ptr<std::byte[], Free>> slabs_;
  std::vector<std::int32_t> references_;
  std::vector<std::int32_t> free_;
};

KvCache::KvCache(const KvShape& shape, std::int64_t n_sequences)
    : shape_(shape),
      pool_(std::make_shared<BlockPool>(shape.block_bytes())),
      n_sequences_(n_sequences),
      tables_(static_cast<std::size_t>(n_sequences)) {}

KvCache::KvCache(const KvCache& other)
    : Cache(other),
      shape_(other.shape_),
      pool_(other.pool_),
      n_sequences_(other.n_sequences_),
      length_(other.length_),
      tables_(other.tables_) {
  for (const auto& table : tables_)
    for (const std::int32_t id : table) pool_->share(id);
}

KvCache::~KvCache() {
  for (const auto& table : tables_)
    for (const std::int32_t id : table) pool_->release(id);
}

std::unique_ptr<Cache> KvCache::fork() const {
  return std::unique_ptr<Cache>(new KvCache(*this));
}

void KvCache::select(std::span<const std::int64_t> parents) {
  std::vector<std::vector<std::int32_t>> next;
  next.reserve(parents.size());
  for (const std::int64_t parent : parents) {
    TWISTOR_ASSERT(parent >= 0 && parent < n_sequences_,
                   "a cache was asked to continue a sequence it does not hold");
    next.push_back(tables_[static_cast<std::size_t>(parent)]);
    for (const std::int32_t id : next.back()) pool_->share(id);
  }
  for (const auto& table : tables_)
    for (const std::int32_t id : table) pool_->release(id);
  tables_ = std::move(next);
  n_sequences_ = static_cast<std::int64_t>(parents.size());
}

void KvCache::reserve(std::int64_t count) {
  const std::int64_t needed = (length_ + count + block_tokens - 1) / block_tokens;
  for (auto& table : tables_) {
    // A partly filled last block that others share is copied before this sequence writes into it.
    if (length_ % block_tokens != 0 && pool_->is_shared(table.back())) {
      const std::int32_t own = pool_->acquire();
      std::memcpy(pool_->data(own), pool_->data(table.back()),
                  static_cast<std::size_t>(shape_.block_bytes()));
      pool_->release(table.back());
      table.back() = own;
      ++pool_->copied;
    }
    while (static_cast<std::int64_t>(table.size()) < needed) table.push_back(pool_->acquire());
  }
}

std::byte* KvCache::layer_block(std::int64_t sequence, std::int64_t block, std::int64_t layer) const {
  return pool_->data(tables_[static_cast<std::size_t>(sequence)][static_cast<std::size_t>(block)]) +
         layer * shape_.layer_elements() * shape_.element_bytes();
}

std::vector<std::byte> KvCache::export_sequence(std::int64_t sequence, std::int64_t first_block) const {
  const auto& table = tables_[static_cast<std::size_t>(sequence)];
  std::vector<std::byte> out;
  const auto bytes = static_cast<std::size_t>(shape_.block_bytes());
  out.reserve(bytes * (table.size() - static_cast<std::size_t>(first_block)));
  for (auto b = static_cast<std::size_t>(first_block); b < table.size(); ++b) {
    const std::byte* data = pool_->data(table[b]);
    out.insert(out.end(), data, data + bytes);
  }
  return out;
}

std::int64_t KvCache::import_sequence(std::span<const std::int64_t> donors, std::int64_t first_block,
                                      std::span<const std::byte> bytes) {
  const std::int64_t blocks = n_blocks(), block_bytes = shape_.block_bytes();
  TWISTOR_CHECK(static_cast<std::int64_t>(donors.size()) == first_block &&
                    static_cast<std::int64_t>(bytes.size()) == (blocks - first_block) * block_bytes,
                ErrorKind::data, "receiving a sequence from another rank",
                fmt::format("expected {} blocks of {} bytes, got {} bytes", blocks - first_block, block_bytes,
                            bytes.size()));
  std::vector<std::int32_t> table;
  for (std::int64_t b = 0; b < first_block; ++b) {
    const auto donor = static_cast<std::size_t>(donors[static_cast<std::size_t>(b)]);
    table.push_back(tables_[donor][static_cast<std::size_t>(b)]);
    pool_->share(table.back());
  }
  for (std::int64_t b = first_block; b < blocks; ++b) {
    table.push_back(pool_->acquire());
    std::memcpy(pool_->data(table.back()), bytes.data() + (b - first_block) * block_bytes,
                static_cast<std::size_t>(block_bytes));
  }
  tables_.push_back(std::move(table));
  return n_sequences_++;
}

CacheUse KvCache::use() const {
  CacheUse use;
  use.live_blocks = pool_->live();
  for (const auto& table : tables_) use.dense_blocks += static_cast<std::int64_t>(table.size());
  use.live_bytes = use.live_blocks * shape_.block_bytes();
  use.copied_blocks = pool_->copied;
  return use;
}

}  // namespace twistor::model
