// SPDX-License-Identifier: Apache-2.0
// What a pass is told goes up in one piece; launches of short passes are recorded and replayed.
#include "pass.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "aten/kv_store.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log.hpp"
#include "twistor/device/row_kernels.hpp"
#include "twistor/device/traffic.hpp"

namespace twistor::device::cuda {
namespace {

thread_local bool records_now = false;

/// Sizes that passes are padded to; more rows than the last are not recorded.
constexpr std::array<std::int64_t, 12> buckets{8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024};

std::optional<std::int64_t> bucket_of(std::int64_t n) {
  const auto* const found = std::ranges::lower_bound(buckets, n);
  return found == buckets.end() ? std::nullopt : std::optional(*found);
}

/// Tokens, slots, block tables, angles and the position of a pass, on the device. The memory stays, so that
/// what was recorded with it can be replayed with other contents.
class PassInputs {
 public:
  PassInputs(const AttentionShape& shape, std::int64_t n_sequences, std::int64_t n_tokens,
             std::int64_t blocks_each, at::Device device)
      : shape_(shape), n_sequences_(n_sequences), n_tokens_(n_tokens), blocks_each_(blocks_each) {
    const auto reserve = [&](std::int64_t bytes) {
      const std::size_t at = host_.size();
      host_.resize(at + static_cast<std::size_t>((bytes + 15) / 16 * 16));
      return at;
    };
    tokens_ = reserve(8 * rows());
    slots_ = reserve(8 * rows());
    table_ = reserve(4 * n_sequences * blocks_each);
    for (const Rotary& rotary : shape.rotaries) {
      const auto pairs = static_cast<std::int64_t>(rotary.frequencies.size());
      const std::size_t cosine = reserve(4 * n_tokens * pairs);
      angles_.push_back({pairs, cosine, reserve(4 * n_tokens * pairs)});
    }
    position_ = reserve(4);
    device_ = at::empty({static_cast<std::int64_t>(host_.size())},
                        at::TensorOptions().dtype(at::kByte).device(device));
  }

  /// Sequences beyond those of `pass` do again what its first does.
  void fill(const KvRows& pass, std::span<const std::int64_t> tokens) {
    auto* const token = host<std::int64_t>(tokens_);
    auto* const slot = host<std::int64_t>(slots_);
    auto* const table = host<std::int32_t>(table_);
    for (std::int64_t i = 0; i < n_sequences_; ++i) {
      const std::int64_t from = i < pass.n_sequences ? i : 0;
      const std::int32_t* const blocks = pass.table.data() + from * blocks_each_;
      std::copy_n(blocks, blocks_each_, table + i * blocks_each_);
      for (std::int64_t j = 0; j < n_tokens_; ++j) {
        const std::int64_t at = pass.position + j;
        slot[i * n_tokens_ + j] =
            std::int64_t{blocks[at / kv_block_tokens]} * kv_block_tokens + at % kv_block_tokens;
        if (!tokens.empty())
          token[i * n_tokens_ + j] = tokens[static_cast<std::size_t>(from * n_tokens_ + j)];
      }
    }
    std::vector<std::int64_t> positions;
    for (std::int64_t j = 0; j < n_tokens_; ++j) positions.push_back(pass.position + j);
    for (std::size_t i = 0; i < angles_.size(); ++i) {
      const Rotary& rotary = shape_.rotaries[i];
      const rows::RotaryRows turns(rotary.frequencies, rotary.magnitude, positions);
      std::ranges::copy(turns.cosine, host<float>(angles_[i].cosine));
      std::ranges::copy(turns.sine, host<float>(angles_[i].sine));
    }
    *host<std::int32_t>(position_) = static_cast<std::int32_t>(pass.position);
    count_up(static_cast<std::int64_t>(host_.size()));
    device_.copy_(at::from_blob(host_.data(), device_.sizes(), at::kByte));
  }

  [[nodiscard]] std::int64_t rows() const { return n_sequences_ * n_tokens_; }
  [[nodiscard]] std::int64_t n_tokens() const { return n_tokens_; }
  [[nodiscard]] std::int64_t blocks_each() const { return blocks_each_; }
  [[nodiscard]] const std::int64_t* tokens() const { return device<std::int64_t>(tokens_); }
  [[nodiscard]] const std::int64_t* slots() const { return device<std::int64_t>(slots_); }
  [[nodiscard]] const std::int32_t* table() const { return device<std::int32_t>(table_); }
  struct Turns {
    std::int64_t pairs = 0;
    const float *cosine = nullptr, *sine = nullptr;  ///< (n_tokens, pairs)
  };
  /// None where the layer has no rotary positions.
  [[nodiscard]] Turns turns(const LayerAttention& layer) const {
    if (layer.rotary == no_rotary) return {};
    const Angles& a = angles_[static_cast<std::size_t>(layer.rotary)];
    return {a.pairs, device<float>(a.cosine), device<float>(a.sine)};
  }
  [[nodiscard]] const std::int32_t* position() const { return device<std::int32_t>(position_); }

 private:
  struct Angles {
    std::int64_t pairs = 0;
    std::size_t cosine = 0, sine = 0;
  };

  template <class T>
  T* host(std::size_t at) {
    return reinterpret_cast<T*>(host_.data() + at);
  }
  template <class T>
  [[nodiscard]] const T* device(std::size_t at) const {
    return reinterpret_cast<const T*>(static_cast<const std::byte*>(device_.const_data_ptr()) + at);
  }

  AttentionShape shape_;
  std::int64_t n_sequences_, n_tokens_, blocks_each_;
  std::size_t tokens_ = 0, slots_ = 0, table_ = 0, position_ = 0;
  std::vector<Angles> angles_;  // of each of the shape's rotary positions
  std::vector<std::byte> host_;
  at::Tensor device_;
};

/// No pass with those blocks reaches further.
std::int64_t last_position(const KvRows& rows) {
  return rows.blocks_each * kv_block_tokens - rows.n_tokens;
}

bool can_attend(const AttentionShape& shape, const KvRows& rows) {
  return fits({.head_size = static_cast<int>(shape.head_size),
               .is_bfloat16 = rows.store->shape().precision == Precision::bfloat16,
               .n_tokens = static_cast<int>(rows.n_tokens),
               .position = static_cast<int>(last_position(rows))});
}

void attend_by_kernel(const KernelContext& context, const KvRows& rows, const PassInputs& inputs,
                      const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) {
  const AttentionShape& shape = context.shape;
  const auto& kv = static_cast<const AtenKvStore&>(*rows.store);
  at::Tensor keys = kv.keys(layer.layer), values = kv.values(layer.layer);
  const PassInputs::Turns turns = inputs.turns(layer);
  context.launchers.store({.qkv = qkv.mutable_data_ptr<float>(),
                           .n = inputs.rows(),
                           .n_heads = static_cast<int>(shape.n_heads),
                           .n_kv_heads = static_cast<int>(shape.n_kv_heads),
                           .head_size = static_cast<int>(shape.head_size),
                           .slots = inputs.slots(),
                           .cosine = turns.cosine,
                           .sine = turns.sine,
                           .pairs = static_cast<int>(turns.pairs),
                           .n_tokens = static_cast<int>(inputs.n_tokens()),
                           .is_interleaved = shape.is_interleaved,
                           .keys = output(keys),
                           .values = output(values)});
  if (out.scalar_type() != context.operands)
    out = numbers({inputs.rows(), shape.n_heads * shape.head_size}, context.operands, context.device);
  context.launchers.attend({.qkv = qkv.const_data_ptr<float>(),
                            .n = inputs.rows(),
                            .n_heads = static_cast<int>(shape.n_heads),
                            .n_kv_heads = static_cast<int>(shape.n_kv_heads),
                            .head_size = static_cast<int>(shape.head_size),
                            .keys = keys.const_data_ptr(),
                            .values = values.const_data_ptr(),
                            .is_bfloat16 = keys.scalar_type() == at::kBFloat16,
                            .table = inputs.table(),
                            .blocks_each = static_cast<int>(inputs.blocks_each()),
                            .n_tokens = static_cast<int>(inputs.n_tokens()),
                            .position = static_cast<int>(last_position(rows)),
                            .position_at = inputs.position(),
                            .window = static_cast<int>(layer.window),
                            .scale = layer.scale,
                            .cap = shape.cap,
                            .out = output(out)});
  check(context.launchers);
}

class KernelAttention final : public AttentionPass {
 public:
  KernelAttention(const KernelContext& context, const KvRows& rows)
      : context_(context),
        rows_(rows),
        inputs_(context.shape, rows.n_sequences, rows.n_tokens, rows.blocks_each, context.device) {
    inputs_.fill(rows, {});
  }
  void run(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    attend_by_kernel(context_, rows_, inputs_, layer, qkv, out);
  }

 private:
  KernelContext context_;
  KvRows rows_;
  PassInputs inputs_;
};

class KernelPass final : public DecoderPass {
 public:
  KernelPass(const KernelContext& context, const KvRows& rows, const PassInputs& inputs)
      : context_(context), rows_(rows), inputs_(inputs) {}

  void embed(const Embedding& e, at::Tensor& x) override {
    const auto input = [](const Table* table) {
      return table == nullptr
                 ? Input{}
                 : Input{table->rows.const_data_ptr(), table->rows.scalar_type() == at::kBFloat16};
    };
    context_.launchers.embed({.tokens = inputs_.tokens(),
                              .n = inputs_.rows(),
                              .d = static_cast<int>(x.size(1)),
                              .table = input(e.tokens),
                              .positions = input(e.positions),
                              .scale = e.scale,
                              .position = inputs_.position(),
                              .n_tokens = static_cast<int>(inputs_.n_tokens()),
                              .out = x.mutable_data_ptr<float>()});
    check(context_.launchers);
  }
  void attend(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    attend_by_kernel(context_, rows_, inputs_, layer, qkv, out);
  }

 private:
  const KernelContext& context_;
  const KvRows& rows_;
  const PassInputs& inputs_;
};

/// Where a store keeps its blocks: what was recorded with one place is good for it alone.
std::vector<const void*> places_of(const KvRows& rows) {
  const auto& kv = static_cast<const AtenKvStore&>(*rows.store);
  std::vector<const void*> out;
  for (std::int64_t layer = 0; layer < kv.shape().n_layers; ++layer)
    out.insert(out.end(), {kv.keys(layer).const_data_ptr(), kv.values(layer).const_data_ptr()});
  return out;
}

class KernelRunner final : public PassRunner {
 public:
  KernelRunner(const Engine& engine, const KernelContext& context, const PassSizes& sizes, bool records)
      : engine_(engine), context_(context), sizes_(sizes), records_(records) {}

  at::Tensor run(const KvRows& rows, std::span<const std::int64_t> tokens, const Body& body) override {
    if (!can_attend(context_.shape, rows))
      return engine_.Engine::make_pass_runner(context_.shape, sizes_)->run(rows, tokens, body);
    const std::lock_guard lock(mutex_);
    const auto bucket = records_ && rows.n_tokens == 1 ? bucket_of(rows.n_sequences) : std::nullopt;
    if (bucket) return run_recorded(*bucket, rows, tokens, body);
    PassInputs inputs(context_.shape, rows.n_sequences, rows.n_tokens, rows.blocks_each, context_.device);
    PassBuffers buffers = make_buffers(engine_, sizes_, rows.size());
    inputs.fill(rows, tokens);
    run_now(rows, inputs, buffers, body);
    return buffers.hidden;
  }

 private:
  struct Taken {
    std::vector<const void*> places;
    std::shared_ptr<const Recording> recording;
  };
  /// Passes of one size.
  struct Entry {
    PassInputs inputs;
    std::vector<Taken> taken;  // the latest last
    bool has_run = false;
  };
  static constexpr std::size_t most_taken = 4;  // caches that take turns

  void run_now(const KvRows& rows, const PassInputs& inputs, PassBuffers& buffers, const Body& body) const {
    KernelPass pass(context_, rows, inputs);
    body(pass, buffers);
  }

  at::Tensor run_recorded(std::int64_t n, const KvRows& rows, std::span<const std::int64_t> tokens,
                          const Body& body) {
    auto buffers = buffers_.find(n);
    if (buffers == buffers_.end()) buffers = buffers_.emplace(n, make_buffers(engine_, sizes_, n)).first;
    auto entry = entries_.find({n, rows.blocks_each});
    if (entry == entries_.end())
      entry = entries_
                  .emplace(std::pair{n, rows.blocks_each},
                           Entry{PassInputs(context_.shape, n, 1, rows.blocks_each, context_.device), {}})
                  .first;
    Entry& of_size = entry->second;
    of_size.inputs.fill(rows, tokens);
    // At first as it is: libraries set themselves up, and buffers get their types.
    const Recording* const recording =
        std::exchange(of_size.has_run, true) ? recorded(of_size, rows, buffers->second, body) : nullptr;
    if (recording != nullptr) {
      recording->replay();
      check(context_.launchers);
    } else {
      run_now(rows, of_size.inputs, buffers->second, body);
    }
    return buffers->second.hidden.narrow(0, 0, rows.n_sequences).clone();
  }

  /// nullptr where it was refused.
  const Recording* recorded(Entry& entry, const KvRows& rows, PassBuffers& buffers, const Body& body) {
    const std::vector<const void*> places = places_of(rows);
    const auto known = std::ranges::find(entry.taken, places, &Taken::places);
    if (known != entry.taken.end()) return known->recording.get();
    if (!records_) return nullptr;
    std::string why = "the driver refuses it";
    context_.launchers.begin_recording();
    records_now = true;
    try {
      run_now(rows, entry.inputs, buffers, body);
    } catch (const NotRecordable& refusal) {
      why = refusal.what();
      records_ = false;
    } catch (...) {
      records_now = false;
      (void)context_.launchers.end_recording();
      throw;
    }
    records_now = false;
    std::shared_ptr<const Recording> taken = context_.launchers.end_recording();
    if (!records_ || taken == nullptr) {
      records_ = false;
      (void)context_.launchers.error();  // of the refusal
      log_info(fmt::format("passes of this model are not recorded as CUDA graphs: {}", why));
      return nullptr;
    }
    if (entry.taken.size() == most_taken) entry.taken.erase(entry.taken.begin());
    entry.taken.push_back({places, std::move(taken)});
    return entry.taken.back().recording.get();
  }

  const Engine& engine_;
  KernelContext context_;
  PassSizes sizes_;
  bool records_;
  std::mutex mutex_;
  std::map<std::int64_t, PassBuffers> buffers_;
  std::map<std::pair<std::int64_t, std::int64_t>, Entry> entries_;  // by rows and blocks of each
};

}  // namespace

bool is_recording() {
  return records_now;
}

std::unique_ptr<AttentionPass> begin_kernel_attention(const KernelContext& context, const KvRows& rows) {
  return can_attend(context.shape, rows) ? std::make_unique<KernelAttention>(context, rows) : nullptr;
}

std::unique_ptr<PassRunner> make_kernel_runner(const Engine& engine, const KernelContext& context,
                                               const PassSizes& sizes, bool records) {
  return std::make_unique<KernelRunner>(engine, context, sizes, records);
}

void check(const Launchers& launchers) {
  if (records_now) return;  // a refusal shows at the end of the recording
  const char* const error = launchers.error();
  TWISTOR_CHECK(error == nullptr, ErrorKind::internal, "launching a GPU kernel", error,
                "set run.kernels = aten, and tell us");
}

at::Tensor numbers(at::IntArrayRef sizes, at::ScalarType type, at::Device device) {
  return at::empty(sizes, at::TensorOptions().dtype(type).device(device));
}

Output output(at::Tensor& out) {
  return {out.mutable_data_ptr(), out.scalar_type() == at::kBFloat16};
}

}  // namespace twistor::device::cuda
