// SPDX-License-Identifier: Apache-2.0
// The decoder: the forward pass of new tokens over the cache, written once over the engine.
#include "twistor/model/decoder.hpp"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/model/kv_cache.hpp"
#include "weights/decoder_weights.hpp"

namespace twistor::model {
namespace {

device::PassSizes sizes_of(const DecoderTraits& t, const LayerWeights& layer) {
  return {t.width,
          layer.qkv.weight.n(),
          t.n_heads * t.head_size,
          layer.up.weight.n(),
          t.feed_forward,
          layer.attention_post_norm.is_defined() || layer.mlp_post_norm.is_defined() || t.branch_scale != 1};
}

class Decoder final : public ChangingDecoder {
 public:
  Decoder(DecoderSource source, const LoadOptions& options)
      : traits_(source.traits),
        fingerprint_(source.fingerprint),
        precision_(options.precision),
        is_headless_(source.is_headless),
        engine_(options.used_engine()),
        weights_(std::move(source), options),
        attention_{traits_.n_heads,   traits_.n_kv_heads,
                   traits_.head_size, traits_.position == PositionKind::rotary_interleaved,
                   traits_.rotaries,  static_cast<float>(traits_.attention_cap)},
        runner_(engine_->make_pass_runner(attention_, sizes_of(traits_, weights_.layers[0]))) {
    // Of one that changes, checkpoints know the name without it.
    if (options.precision == device::Precision::bfloat16 && !weights_.is_changing())
      fingerprint_ += ":bfloat16";
  }

  std::int64_t vocab_size() const override { return traits_.vocab_size; }
  std::int64_t hidden_size() const override { return traits_.width; }
  std::int64_t context_length() const override { return traits_.context; }
  at::ScalarType hidden_dtype() const override { return at::kFloat; }
  std::string fingerprint() const override { return fingerprint_; }
  std::string description() const override {
    const bool has_more = traits_.long_context > traits_.context;
    return fmt::format("{}, {:.1f} M parameters, {} layers, D {}, V {}, context {}{}, {}", traits_.family,
                       static_cast<double>(weights_.n_parameters) * 1e-6, traits_.n_layers, traits_.width,
                       traits_.vocab_size, traits_.context,
                       has_more ? fmt::format(" (up to {} by model.context)", traits_.long_context) : "",
                       precision_ == device::Precision::float32 ? "float32" : "bfloat16");
  }

  std::unique_ptr<Cache> make_cache(std::int64_t n) const override {
    return std::make_unique<KvCache>(
        *engine_, device::KvShape{traits_.n_layers, traits_.n_kv_heads, traits_.head_size, precision_}, n);
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
        traits_.long_context > traits_.context
            ? fmt::format("shorten the prompt or target.length, or set model.context, up to {}",
                          traits_.long_context)
            : "shorten the prompt or target.length");
    check_tokens(tokens);
    const at::AutoDispatchBelowADInplaceOrView no_gradients;  // spares their bookkeeping
    kv->reserve(length);
    const std::int64_t at_once =
        std::max<std::int64_t>(1, engine_->rows_at_once() / std::max<std::int64_t>(1, length));
    std::vector<at::Tensor> parts;
    for (std::int64_t begin = 0; begin < n; begin += at_once) {
      const std::int64_t end = std::min(n, begin + at_once);
      parts.push_back(pass(tokens.subspan(static_cast<std::size_t>(begin * length),
                                          static_cast<std::size_t>((end - begin) * length)),
                           kv->rows(begin, end, length)));
    }
    kv->advance(length);
    if (parts.empty()) parts.push_back(engine_->empty({0, traits_.width}));
    return (parts.size() == 1 ? parts.front() : at::cat(parts)).view({n, length, traits_.width});
  }

  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override {
    TWISTOR_ASSERT(!is_headless_, "a decoder without its output matrix gives no logits");
    engine_->project_columns(hidden, weights_.head, v_begin, v_end, out);
    if (traits_.logit_cap != 0)
      engine_->soft_cap(out, v_end - v_begin, static_cast<float>(traits_.logit_cap));
  }

  const device::Weight* output_matrix() const override {
    return is_headless_ ? nullptr : &weights_.head.weight;
  }
  float logit_cap() const override { return static_cast<float>(traits_.logit_cap); }
  std::shared_ptr<const device::Engine> engine() const override { return engine_; }
  std::int64_t revision() const override { return revision_; }
  void follow(const ValuesOf& values) override {
    weights_.follow(*engine_, values);
    ++revision_;
  }

 private:
  void check_tokens(std::span<const std::int64_t> tokens) const {
    for (const std::int64_t token : tokens)
      TWISTOR_CHECK(token >= 0 && token < traits_.vocab_size, ErrorKind::usage, "running the language model",
                    fmt::format("token id {} is out of range (vocabulary {})", token, traits_.vocab_size),
                    "use the tokenizer that belongs to the model");
  }

  /// Hidden states, (n, D), of rows whose cache slots are reserved.
  at::Tensor pass(std::span<const std::int64_t> tokens, const device::KvRows& rows) const {
    at::Tensor hidden =
        runner_->run(rows, tokens, [this](device::DecoderPass& pass, device::PassBuffers& work) {
          pass.embed({&weights_.embedding, static_cast<float>(traits_.embedding_scale),
                      traits_.position == PositionKind::learned ? &weights_.positions : nullptr},
                     work.x);
          for (const LayerWeights& layer : weights_.layers) run_layer(layer, pass, work);
          engine_->normalise(weights_.final_norm, work.x, work.hidden);
        });
    TWISTOR_CHECK(engine_->is_finite(hidden), ErrorKind::data, "running the language model",
                  "a hidden state is not finite", "the weights are damaged, or too large for this dtype");
    return hidden;
  }

  void run_layer(const LayerWeights& layer, device::DecoderPass& pass, device::PassBuffers& work) const {
    engine_->project(read_by(layer.attention_norm, work), layer.qkv, work.qkv);
    normalise_heads(layer, work.qkv);
    if (traits_.is_parallel) engine_->normalise(layer.mlp_norm, work.x, work.normal);
    pass.attend(layer.attention, work.qkv, work.heads);
    add_to_stream(work.heads, layer.out, layer.attention_post_norm, work);
    engine_->project(traits_.is_parallel ? work.normal : read_by(layer.mlp_norm, work), layer.up, work.inner);
    engine_->activate(traits_.activation, traits_.is_gated, work.inner, work.active);
    add_to_stream(work.active, layer.down, layer.mlp_post_norm, work);
  }

  /// What a branch reads: the stream, normalised where there is a norm before the branch.
  const at::Tensor& read_by(const device::Norm& norm, device::PassBuffers& work) const {
    if (!norm.is_defined()) return work.x;
    engine_->normalise(norm, work.x, work.normal);
    return work.normal;
  }

  void normalise_heads(const LayerWeights& layer, at::Tensor& qkv) const {
    if (!layer.q_norm.is_defined()) return;
    const std::int64_t q = traits_.n_heads * traits_.head_size, kv = traits_.n_kv_heads * traits_.head_size;
    engine_->normalise_runs(layer.q_norm, qkv, 0, q);
    engine_->normalise_runs(layer.k_norm, qkv, q, q + kv);
  }

  /// x += scale y W^T, normalised where the layer has a norm behind the product.
  void add_to_stream(const at::Tensor& y, const device::Linear& w, const device::Norm& post_norm,
                     device::PassBuffers& work) const {
    const auto scale = static_cast<float>(traits_.branch_scale);
    if (!post_norm.is_defined() && scale == 1) return engine_->project(y, w, work.x, true);
    engine_->project(y, w, work.branch);
    if (post_norm.is_defined()) engine_->normalise(post_norm, work.branch, work.branch);
    engine_->add(work.x, work.branch, scale);
  }

  DecoderTraits traits_;
  std::string fingerprint_;
  device::Precision precision_;
  bool is_headless_;
  std::shared_ptr<const device::Engine> engine_;
  DecoderWeights weights_;
  device::AttentionShape attention_;
  std::unique_ptr<device::PassRunner> runner_;
  std::int64_t revision_ = 0;
};

}  // namespace

std::unique_ptr<LanguageModel> make_decoder(DecoderSource source, const LoadOptions& options) {
  return std::make_unique<Decoder>(std::move(source), options);
}

std::unique_ptr<ChangingDecoder> make_changing_decoder(DecoderSource source, const LoadOptions& options) {
  return std::make_unique<Decoder>(std::move(source), options);
}

}  // namespace twistor::model
