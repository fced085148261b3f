// SPDX-License-Identifier: Apache-2.0
// The forward pass in operations that autograd knows, with the prompt's rows shared by all sequences.
#include "functional_decoder.hpp"

#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/device/aten_engine.hpp"
#include "twistor/device/row_kernels.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::model {
namespace {

class Pass {
 public:
  Pass(const DecoderSource& source, const FunctionalWeights& weights, const TextShape& shape,
       at::Device device)
      : source_(source), traits_(source.traits), weights_(weights), shape_(shape), device_(device) {
    if (!traits_.rotaries.empty()) find_angles();
  }

  at::Tensor run(at::Tensor x) const {
    for (const LayerSource& layer : source_.layers) {
      const at::Tensor normal = normalise(layer.attention_norm, x);
      const at::Tensor heads = attend(layer, product(layer.qkv, normal));
      const at::Tensor before = x;
      x = x.add(scaled(normalise(layer.attention_post_norm, product(layer.out, heads))));
      const at::Tensor inner = product(layer.up, normalise(layer.mlp_norm, traits_.is_parallel ? before : x));
      x = x.add(scaled(normalise(layer.mlp_post_norm, product(layer.down, activate(inner)))));
    }
    return before_each_token(normalise(source_.final_norm, x));
  }

 private:
  [[nodiscard]] const at::Tensor& value(const format::TensorInfo* tensor) const {
    const auto found = weights_.values.find(tensor);
    TWISTOR_ASSERT(found != weights_.values.end(), "every tensor of the layers has a value");
    return found->second;
  }

  /// Rows of x, as they are where there is no norm.
  [[nodiscard]] at::Tensor normalise(const NormSource& norm, const at::Tensor& x) const {
    if (norm.weight == nullptr) return x;
    at::Tensor weight = value(norm.weight);
    if (norm.offset != 0) weight = weight.add(norm.offset);
    if (norm.scale != 1) weight = weight.mul(norm.scale);
    if (traits_.norm == NormKind::layer_norm)
      return at::layer_norm(x, {x.size(1)}, weight, value(norm.bias), traits_.norm_eps);
    return x.mul(x.square().mean(1, /*keepdim=*/true).add(traits_.norm_eps).rsqrt()).mul(weight);
  }
  /// Queries or keys (rows, heads, head_size), head by head or all together.
  [[nodiscard]] at::Tensor normalise_heads(const NormSource& norm, const at::Tensor& x) const {
    if (norm.weight == nullptr) return x;
    return normalise(norm, x.reshape({-1, norm.weight->shape[0]})).view(x.sizes());
  }
  [[nodiscard]] at::Tensor scaled(const at::Tensor& x) const {
    return traits_.branch_scale == 1 ? x : x.mul(traits_.branch_scale);
  }

  /// x W^T + b of one stored matrix, or x W + b if it is stored (K, N).
  [[nodiscard]] at::Tensor linear(const at::Tensor& x, const MatrixSource::Part& part,
                                  bool is_transposed) const {
    const at::Tensor& stored = value(part.weight);
    const at::Tensor w = is_transposed ? stored : stored.t();
    at::Tensor y = part.bias != nullptr ? at::addmm(value(part.bias), x, w) : at::mm(x, w);
    const auto low_rank = weights_.low_rank.find(part.weight);
    if (low_rank == weights_.low_rank.end()) return y;
    const auto& [a, b, scale] = low_rank->second;
    return y.add(at::mm(at::mm(x, a.t()), b.t()).mul(scale));
  }

  [[nodiscard]] at::Tensor product(const MatrixSource& matrix, const at::Tensor& x) const {
    std::vector<at::Tensor> columns;
    std::vector<std::int64_t> order;  // of the columns, where parts are pieces of one stored matrix
    const format::TensorInfo* last = nullptr;
    for (const MatrixSource::Part& part : matrix.parts) {
      if (part.weight != last) columns.push_back(linear(x, part, matrix.is_transposed));
      last = part.weight;
      if (part.n_rows == 0) continue;
      order.resize(order.size() + static_cast<std::size_t>(part.n_rows));
      std::iota(order.end() - part.n_rows, order.end(), part.row_begin);
    }
    TWISTOR_ASSERT(order.empty() || columns.size() == 1, "pieces come from one stored matrix");
    const at::Tensor all = columns.size() == 1 ? columns.front() : at::cat(columns, 1);
    return order.empty() ? all : at::index_select(all, 1, device::to_device(order, device_));
  }

  [[nodiscard]] at::Tensor activate(const at::Tensor& x) const {
    const std::int64_t f = traits_.feed_forward;
    const at::Tensor gate = traits_.is_gated ? x.narrow(1, 0, f) : x;
    const at::Tensor out = device::activated(traits_.activation, gate);
    return traits_.is_gated ? out.mul(x.narrow(1, f, f)) : out;
  }

  void find_angles() {
    std::vector<std::int64_t> positions(static_cast<std::size_t>(shape_.n_prompt));
    std::iota(positions.begin(), positions.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < shape_.n_sequences; ++i)
      for (std::int64_t t = 0; t + 1 < shape_.length; ++t) positions.push_back(shape_.n_prompt + t);
    for (const Rotary& rotary : traits_.rotaries) {
      device::rows::RotaryRows table(rotary.frequencies, rotary.magnitude, positions);
      const auto upload = [&](std::vector<float>& values) {
        return at::from_blob(values.data(), {shape_.rows(), 1, table.pairs}, at::kFloat)
            .to(device_, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
      };
      angles_.push_back({upload(table.cosine), upload(table.sine)});
    }
  }

  /// Queries or keys (rows, heads, head_size) at their positions.
  [[nodiscard]] at::Tensor turn(const LayerSource& layer, const at::Tensor& x) const {
    if (layer.rotary == device::no_rotary) return x;
    const auto& [cosine, sine] = angles_[static_cast<std::size_t>(layer.rotary)];
    const std::int64_t pairs = cosine.size(2), rest = x.size(2) - 2 * pairs;
    const bool is_interleaved = traits_.position == PositionKind::rotary_interleaved;
    const at::Tensor a = is_interleaved ? x.slice(2, 0, 2 * pairs, 2) : x.narrow(2, 0, pairs);
    const at::Tensor b = is_interleaved ? x.slice(2, 1, 2 * pairs, 2) : x.narrow(2, pairs, pairs);
    const at::Tensor first = a.mul(cosine).sub(b.mul(sine)), second = b.mul(cosine).add(a.mul(sine));
    const at::Tensor turned =
        is_interleaved ? at::stack({first, second}, 3).flatten(2, 3) : at::cat({first, second}, 2);
    return rest == 0 ? turned : at::cat({turned, x.narrow(2, 2 * pairs, rest)}, 2);
  }

  /// The prompt sees itself, each sequence sees the prompt and itself. qkv: (rows, qkv_width).
  [[nodiscard]] at::Tensor attend(const LayerSource& layer, const at::Tensor& qkv) const {
    const std::int64_t h = traits_.n_heads, g = traits_.n_kv_heads, size = traits_.head_size,
                       prompt = shape_.n_prompt, n = shape_.n_sequences, each = shape_.length - 1;
    const at::Tensor heads = qkv.view({-1, h + 2 * g, size});
    const at::Tensor q = turn(layer, normalise_heads(layer.q_norm, heads.narrow(1, 0, h))),
                     k = turn(layer, normalise_heads(layer.k_norm, heads.narrow(1, h, g))),
                     v = heads.narrow(1, h + g, g);
    const auto of_prompt = [&](const at::Tensor& x) { return x.narrow(0, 0, prompt).unsqueeze(0); };
    const auto of_sequences = [&](const at::Tensor& x) {
      return x.narrow(0, prompt, n * each).view({n, each, x.size(1), size});
    };
    const auto with_prompt = [&](const at::Tensor& x) {
      return at::cat({of_prompt(x).expand({n, prompt, g, size}), of_sequences(x)}, 1);
    };
    const at::Tensor first = attend(layer, of_prompt(q), of_prompt(k), of_prompt(v));
    if (n * each == 0) return first;
    return at::cat({first, attend(layer, of_sequences(q), with_prompt(k), with_prompt(v))});
  }

  /// q: (n, L, n_heads, head_size), of the last L positions; k, v: (n, positions, n_kv_heads, head_size).
  /// Queries that share a head of keys stand one below the other.
  [[nodiscard]] at::Tensor attend(const LayerSource& layer, const at::Tensor& q, const at::Tensor& k,
                                  const at::Tensor& v) const {
    const std::int64_t n = q.size(0), length = q.size(1), size = traits_.head_size, g = traits_.n_kv_heads,
                       group = traits_.n_heads / g, positions = k.size(1);
    const at::Tensor queries = q.reshape({n, length, g, group, size})
                                   .permute({0, 2, 3, 1, 4})
                                   .reshape({n * g, group * length, size});
    const auto by_head = [&](const at::Tensor& x) {
      return x.permute({0, 2, 1, 3}).reshape({n * g, positions, size});
    };
    at::Tensor scores = at::bmm(queries, by_head(k).transpose(1, 2)).mul(layer.attention_scale);
    if (const double cap = traits_.attention_cap; cap != 0) scores = scores.div(cap).tanh().mul(cap);
    scores = scores.view({n * g, group, length, positions})
                 .masked_fill(hidden_from(length, positions, layer.window),
                              -std::numeric_limits<float>::infinity());
    const at::Tensor shares = at::softmax(scores, -1).view({n * g, group * length, positions});
    return at::bmm(shares, by_head(v))
        .view({n, g, group, length, size})
        .permute({0, 3, 1, 2, 4})
        .reshape({n * length, traits_.n_heads * size});
  }

  /// Which positions the last `length` ones do not see, (length, positions) bool.
  [[nodiscard]] at::Tensor hidden_from(std::int64_t length, std::int64_t positions,
                                       std::int64_t window) const {
    const auto options = at::TensorOptions().dtype(at::kLong).device(device_);
    const at::Tensor key = at::arange(0, positions, options),
                     query = at::arange(positions - length, positions, options).unsqueeze(1);
    const at::Tensor is_later = key.gt(query);
    return window == 0 ? is_later : is_later.logical_or(key.le(query.sub(window)));
  }

  /// Rows of the prompt and of the sequences -> (n T, D): the first token of each follows the prompt.
  [[nodiscard]] at::Tensor before_each_token(const at::Tensor& x) const {
    const std::int64_t n = shape_.n_sequences, each = shape_.length - 1, d = x.size(1);
    const at::Tensor first = x.narrow(0, shape_.n_prompt - 1, 1).unsqueeze(0).expand({n, 1, d});
    const at::Tensor others = x.narrow(0, shape_.n_prompt, n * each).view({n, each, d});
    return at::cat({first, others}, 1).view({n * shape_.length, d});
  }

  const DecoderSource& source_;
  const DecoderTraits& traits_;
  const FunctionalWeights& weights_;
  TextShape shape_;
  at::Device device_;
  struct Angles {
    at::Tensor cosine, sine;  // (rows, 1, pairs)
  };
  std::vector<Angles> angles_;  // of each of the traits' rotaries
};

}  // namespace

at::Tensor functional_hidden(const DecoderSource& source, const FunctionalWeights& weights, at::Tensor x,
                             const TextShape& shape) {
  TWISTOR_ASSERT(shape.n_prompt >= 1 && shape.length >= 1 && x.size(0) == shape.rows(),
                 "there is an embedding for each token that is read");
  const at::Device device = x.device();
  return Pass(source, weights, shape, device).run(std::move(x));
}

}  // namespace twistor::model
