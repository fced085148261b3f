// SPDX-License-Identifier: Apache-2.0
// Small questions to the GPU kernels, run by the emulator.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/device/kernel_engine.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::test {

/// What kernels are asked for, through their engine.
struct KernelProblem {
  static constexpr std::int64_t n = 5, V = 700, D = 96, heads = 3;

  device::Precision precision = device::Precision::bfloat16;
  std::shared_ptr<const device::Engine> engine =
      device::make_kernel_engine(at::kCPU, {precision, device::GraphUse::off});

  [[nodiscard]] at::Tensor random(at::IntArrayRef sizes, std::uint32_t which) const {
    Philox generator(8, Stream::test, which, 0);
    std::vector<float> values;
    for (std::int64_t i = 0; i < sizes[0] * sizes[1]; ++i)
      values.push_back(static_cast<float>(2 * generator.normal()));
    return engine->upload(values).view(sizes);
  }
  [[nodiscard]] device::ScoreRows scores() const {
    device::ScoreRows rows{device::make_scores(n, V, at::kCPU), device::make_scores(n, V, at::kCPU), 0.5,
                           true};
    rows.a.narrow(1, 0, V).copy_(random({n, V}, 1));
    rows.b.narrow(1, 0, V).copy_(random({n, V}, 2));
    return rows;
  }
  [[nodiscard]] at::Tensor norm(const at::Tensor& x) const {
    const std::vector<float> ones(D, 1.5F);
    at::Tensor out;
    engine->normalise(
        {device::NormKind::layer_norm, 1e-5F, engine->upload(ones), engine->upload(ones), false}, x, out);
    return out;
  }
  /// Of the last pass; each is of n_tokens of every sequence, the first at `first`.
  [[nodiscard]] at::Tensor attention(std::int64_t first = 0, std::int64_t n_tokens = 4) const {
    const auto store = engine->make_kv_store({1, 1, D / heads, precision});
    store->grow();
    std::vector<std::int32_t> table(static_cast<std::size_t>(2 * n));
    std::iota(table.begin(), table.end(), 0);
    device::AttentionShape shape{heads, 1, D / heads, false, {{{1.0, 0.1, 0.01}, 1}}, 0};
    at::Tensor out;
    for (std::int64_t position = first; position < 20; position += n_tokens) {
      at::Tensor qkv = random({n_tokens * n, shape.qkv_width()}, static_cast<std::uint32_t>(10 + position));
      out = engine->empty({n_tokens * n, D});
      engine->begin_attention(shape, {store.get(), table, n, 2, position, n_tokens})
          ->run({0, 0.2F, 9, 0}, qkv, out);
    }
    return out.to(at::kFloat);
  }
  /// The parameter after a step by rows.
  [[nodiscard]] at::Tensor adam() const {
    const std::vector<std::int64_t> rows{0, 2, 3};
    const device::AdamTensors parameter{random({n, D}, 5), random({n, D}, 6), random({n, D}, 7).square()};
    engine->adam({0.9F, 0.99F, 0.1F, 0.01F, 0.5F, 1.5F, 1e-8F}, rows, random({3, D}, 8), parameter);
    return parameter.value;
  }
};

}  // namespace twistor::test
