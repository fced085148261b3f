// The decoder: packed weights, and the forward pass of new tokens over the cache.
#include "twistor/model/decoder.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "attention.hpp"
#include "decoder_weights.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/row_kernels.hpp"
#include "twistor/model/kv_cache.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t rows_at_once = 1024;  // bounds the buffers of a long batch

/// Buffers of one pass over at most `rows_at_once` rows.
struct Workspace {
  Workspace(std::int64_t n, const DecoderTraits& t, std::int64_t qkv_width, std::int64_t up_width)
      : x(size(n, t.width)),
        normal(size(n, t.width)),
        qkv(size(n, qkv_width)),
        heads(size(n, t.n_heads * t.head_size)),
        inner(size(n, up_width)),
        gated(size(n, t.feed_forward)) {}
  static std::size_t size(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); }
  std::vector<float> x, normal, qkv, heads, inner, gated;
  device::rows::RotaryRows angles;
};

class Decoder final : public LanguageModel {
 public:
  Decoder(DecoderSource source, const LoadOptions& options)
      : traits_(source.traits),
        fingerprint_(source.fingerprint),
        precision_(options.precision),
        weights_(std::move(source), options) {
    TWISTOR_ASSERT(!traits_.is_parallel || weights_.layers[0].attention_post_norm.weight.empty(),
                   "norms behind parallel branches need a buffer of their own");
    if (options.precision == device::Precision::bfloat16) fingerprint_ += ":bfloat16";
  }

  std::int64_t vocab_size() const override { return traits_.vocab_size; }
  std::int64_t hidden_size() const override { return traits_.width; }
  std::int64_t context_length() const override { return traits_.context; }
  at::ScalarType hidden_dtype() const override { return at::kFloat; }
  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override {
    return fmt::format("{}, {:.1f} M parameters, {} layers, D {}, V {}, context {}, {}", traits_.family,
                       static_cast<double>(weights_.n_parameters) * 1e-6, traits_.n_layers, traits_.width,
                       traits_.vocab_size, traits_.context,
                       precision_ == device::Precision::float32 ? "float32" : "bfloat16");
  }

  std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return std::make_unique<KvCache>(
        KvShape{traits_.n_layers, traits_.n_kv_heads, traits_.head_size, precision_}, n);
  }

  at::Tensor forward(std::span<const std::int64_t> tokens, Cache& cache) const override {
    auto* kv = dynamic_cast<KvCache*>(&cache);
    TWISTOR_ASSERT(kv != nullptr, "a decoder was given the cache of another kind of model");
    const std::int64_t n = kv->n_sequences(),
                       length = n == 0 ? 0 : static_cast<std::int64_t>(tokens.size()) / n;
    TWISTOR_ASSERT(n * length == static_cast<std::int64_t>(tokens.size()), "tokens must be (n, L)");
    TWISTOR_CHECK(
        kv->length() + length <= traits_.context, ErrorKind::usage, "running the language model",
        fmt::format("{} tokens do not fit its context of {}", kv->length() + length, traits_.context),
        "shorten the prompt or target.length");
    at::Tensor hidden = at::empty({n, length, traits_.width}, at::kFloat);
    kv->reserve(length);
    const std::int64_t at_once = std::max<std::int64_t>(1, rows_at_once / std::max<std::int64_t>(1, length));
    for (std::int64_t begin = 0; begin < n; begin += at_once) {
      const std::int64_t end = std::min(n, begin + at_once);
      std::vector<AttentionRow> rows;
      for (std::int64_t i = begin; i < end; ++i)
        for (std::int64_t j = 0; j < length; ++j) rows.push_back({i, kv->length() + j});
      pass(tokens.subspan(static_cast<std::size_t>(begin * length), rows.size()), rows, *kv,
           hidden.mutable_data_ptr<float>() + begin * length * traits_.width);
    }
    kv->advance(length);
    return hidden;
  }

  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override {
    device::multiply(hidden.const_data_ptr<float>(), hidden.stride(0), hidden.size(0), weights_.head, v_begin,
                     v_end, out.mutable_data_ptr<float>(), out.stride(0));
    if (traits_.logit_cap == 0) return;
    const std::int64_t n = hidden.size(0), width = v_end - v_begin;
#pragma omp parallel for schedule(static) if (n * width > 10000)
    for (std::int64_t r = 0; r < n; ++r)
      device::rows::soft_cap(out.mutable_data_ptr<float>() + r * out.stride(0), width,
                             static_cast<float>(traits_.logit_cap));
  }

  const device::PackedMatrix* output_matrix() const override {
    return &weights_.head;
  }

 private:
  /// Hidden states of rows whose cache slots are reserved.
  void pass(std::span<const std::int64_t> tokens, const std::vector<AttentionRow>& rows, KvCache& cache,
            float* hidden) const {
    const auto n = static_cast<std::int64_t>(rows.size());
    const std::int64_t d = traits_.width;
    Workspace work(n, traits_, weights_.layers[0].qkv.matrix.n(), weights_.layers[0].up.matrix.n());
    embed(tokens, rows, work.x);
    work.angles = angles_of(rows);
    for (std::int64_t i = 0; i < traits_.n_layers; ++i) {
      const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(i)];
      normalise(layer.attention_norm, work.x.data(), n, work.normal.data());
      apply(work.normal, n, layer.qkv, work.qkv);
      if (traits_.is_parallel) normalise(layer.mlp_norm, work.x.data(), n, work.normal.data());
      attention(layer, i, rows, cache, work);
      if (!traits_.is_parallel) normalise(layer.mlp_norm, work.x.data(), n, work.normal.data());
      mlp(layer, n, work);
    }
    normalise(weights_.final_norm, work.x.data(), n, hidden);
    for (std::int64_t i = 0; i < n * d; ++i)
      TWISTOR_CHECK(std::isfinite(hidden[i]), ErrorKind::data, "running the language model",
                    "a hidden state is not finite", "the weights are damaged, or too large for this dtype");
  }

  void embed(std::span<const std::int64_t> tokens, const std::vector<AttentionRow>& rows,
             std::vector<float>& x) const {
    const std::int64_t d = traits_.width;
    std::vector<float> position(static_cast<std::size_t>(d));
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::int64_t token = tokens[r];
      TWISTOR_CHECK(token >= 0 && token < traits_.vocab_size, ErrorKind::usage, "running the language model",
                    fmt::format("token id {} is out of range (vocabulary {})", token, traits_.vocab_size),
                    "use the tokenizer that belongs to the model");
      const std::span<float> out(x.data() + r * static_cast<std::size_t>(d), static_cast<std::size_t>(d));
      weights_.read_embedding(token, out);
      if (traits_.embedding_scale != 1)
        for (float& value : out) value *= static_cast<float>(traits_.embedding_scale);
      if (traits_.position != PositionKind::learned) continue;
      weights_.read_position(rows[r].position, position);
      for (std::size_t i = 0; i < position.size(); ++i) out[i] += position[i];
    }
  }

  device::rows::RotaryRows angles_of(const std::vector<AttentionRow>& rows) const {
    std::vector<std::int64_t> positions;
    for (const AttentionRow& row : rows) positions.push_back(row.position);
    return {traits_.rotary.frequencies, traits_.rotary.magnitude, positions};
  }

  void normalise(const NormWeights& norm, const float* x, std::int64_t n, float* out) const {
    const std::int64_t d = traits_.width;
    const auto eps = static_cast<float>(traits_.norm_eps);
#pragma omp parallel for schedule(static) if (n * d > 50000)
    for (std::int64_t r = 0; r < n; ++r) {
      if (traits_.norm == NormKind::layer_norm) {
        device::rows::layer_norm(x + r * d, norm.weight.data(), norm.bias.data(), eps, d, out + r * d);
      } else {
        device::rows::rms_norm(x + r * d, norm.weight.data(), eps, d, out + r * d);
      }
    }
  }

  /// x += the attention of work.qkv.
  void attention(const LayerWeights& layer, std::int64_t index, const std::vector<AttentionRow>& rows,
                 KvCache& cache, Workspace& work) const {
    const auto n = static_cast<std::int64_t>(rows.size());
    const std::int64_t q = traits_.n_heads * traits_.head_size, kv = traits_.n_kv_heads * traits_.head_size;
    const std::int64_t width = q + 2 * kv;
#pragma omp parallel for schedule(static) if (n * width > 20000)
    for (std::int64_t r = 0; r < n; ++r) {
      float* row = work.qkv.data() + r * width;
      if (traits_.position != PositionKind::learned)
        for (std::int64_t h = 0; h < traits_.n_heads + traits_.n_kv_heads; ++h)
          device::rows::rotate(row + h * traits_.head_size, work.angles, r,
                               traits_.position == PositionKind::rotary_interleaved);
      write_kv(cache, rows[static_cast<std::size_t>(r)], index, row + q, row + q + kv);
    }
    const AttentionOptions options{traits_.n_heads, static_cast<float>(layer.attention_scale), layer.window,
                                   static_cast<float>(traits_.attention_cap)};
    attend(cache, index, rows.data(), n, work.qkv.data(), width, work.heads.data(), q, options);
    add_to_stream(work.heads, n, layer.out, layer.attention_post_norm, work);
  }

  /// x += the MLP of work.normal.
  void mlp(const LayerWeights& layer, std::int64_t n, Workspace& work) const {
    const std::int64_t f = traits_.feed_forward, up = layer.up.matrix.n();
    apply(work.normal, n, layer.up, work.inner);
#pragma omp parallel for schedule(static) if (n * f > 10000)
    for (std::int64_t r = 0; r < n; ++r) {
      float* inner = work.inner.data() + r * up;
      activate(inner, f);
      if (traits_.is_gated) device::rows::times(inner, inner + f, f, work.gated.data() + r * f);
    }
    add_to_stream(traits_.is_gated ? work.gated : work.inner, n, layer.down, layer.mlp_post_norm, work);
  }

  /// x += y W^T, normalised where the layer has a norm behind the product.
  void add_to_stream(const std::vector<float>& y, std::int64_t n, const LinearWeights& w,
                     const NormWeights& post_norm, Workspace& work) const {
    if (post_norm.weight.empty()) return apply(y, n, w, work.x, true);
    apply(y, n, w, work.normal);
    normalise(post_norm, work.normal.data(), n, work.normal.data());
    for (std::int64_t i = 0; i < n * traits_.width; ++i)
      work.x[static_cast<std::size_t>(i)] += work.normal[static_cast<std::size_t>(i)];
  }

  void activate(float* x, std::int64_t n) const {
    switch (traits_.activation) {
      case ActivationKind::gelu_tanh:
        return device::rows::gelu_tanh(x, n);
      case ActivationKind::gelu_erf:
        return device::rows::gelu_erf(x, n);
      case ActivationKind::silu:
        return device::rows::silu(x, n);
    }
  }

  static void apply(const std::vector<float>& x, std::int64_t n, const LinearWeights& w,
                    std::vector<float>& y, bool accumulate = false) {
    device::multiply(std::span(x).first(static_cast<std::size_t>(n * w.matrix.k())), n, w.matrix,
                     std::span(y).first(static_cast<std::size_t>(n * w.matrix.n())),
                     {w.bias.empty() ? nullptr : w.bias.data(), accumulate});
  }

  DecoderTraits traits_;
  std::string fingerprint_;
  device::Precision precision_;
  DecoderWeights weights_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_decoder(DecoderSource source, const LoadOptions& options) {
  return std::make_unique<Decoder>(std::move(source), options);
}

}  // namespace twistor::model
