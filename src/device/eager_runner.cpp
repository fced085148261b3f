// SPDX-License-Identifier: Apache-2.0
// Passes as they come, every one with buffers of its own.
#include <ATen/core/Tensor.h>

#include <vector>

#include "twistor/device/engine.hpp"

namespace twistor::device {
namespace {

class EagerPass final : public DecoderPass {
 public:
  EagerPass(const Engine& engine, const AttentionShape& shape, const KvRows& rows,
            std::span<const std::int64_t> tokens)
      : engine_(engine), rows_(rows), tokens_(tokens), attention_(engine.begin_attention(shape, rows)) {}

  void embed(const Embedding& e, at::Tensor& x) override {
    engine_.look_up(*e.tokens, tokens_, x, false);
    if (e.scale != 1) x.mul_(e.scale);
    if (e.positions == nullptr) return;
    std::vector<std::int64_t> positions(tokens_.size());
    for (std::size_t r = 0; r < positions.size(); ++r)
      positions[r] = rows_.position + static_cast<std::int64_t>(r) % rows_.n_tokens;
    engine_.look_up(*e.positions, positions, x, true);
  }
  void attend(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    attention_->run(layer, qkv, out);
  }

 private:
  const Engine& engine_;
  const KvRows& rows_;
  std::span<const std::int64_t> tokens_;
  std::unique_ptr<AttentionPass> attention_;
};

class EagerRunner final : public PassRunner {
 public:
  EagerRunner(const Engine& engine, const AttentionShape& shape, const PassSizes& sizes)
      : engine_(engine), shape_(shape), sizes_(sizes) {}

  at::Tensor run(const KvRows& rows, std::span<const std::int64_t> tokens, const Body& body) override {
    PassBuffers buffers = make_buffers(engine_, sizes_, rows.size());
    EagerPass pass(engine_, shape_, rows, tokens);
    body(pass, buffers);
    return buffers.hidden;
  }

 private:
  const Engine& engine_;
  AttentionShape shape_;
  PassSizes sizes_;
};

}  // namespace

PassBuffers make_buffers(const Engine& engine, const PassSizes& s, std::int64_t n) {
  const auto rows = [&](std::int64_t width) { return engine.empty({n, width}); };
  const bool is_gated = s.inner != s.active;
  return {rows(s.width),
          rows(s.width),
          rows(s.qkv),
          rows(s.heads),
          rows(s.inner),
          is_gated ? rows(s.active) : at::Tensor(),
          s.has_branch ? rows(s.width) : at::Tensor(),
          rows(s.width)};
}

std::unique_ptr<PassRunner> Engine::make_pass_runner(const AttentionShape& shape,
                                                     const PassSizes& sizes) const {
  return std::make_unique<EagerRunner>(*this, shape, sizes);
}

}  // namespace twistor::device
