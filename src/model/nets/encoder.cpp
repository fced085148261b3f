// SPDX-License-Identifier: Apache-2.0
// The encoder: the forward pass over whole texts of different lengths, written once over the engine.
#include "twistor/model/encoder.hpp"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>

#include "families/encoder_families.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/tensor_vocabulary.hpp"
#include "weights/weight_packer.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t least_rows_at_once = 2048;
constexpr const char* running = "running the encoder";

struct EncoderLayer {
  device::Norm attention_norm, output_norm;
  device::Linear qkv, out, up, down;
  device::RelativePositions distances;  ///< undefined: attention sees none
};

/// The matrices of a layer that its file has.
std::vector<const MatrixSource*> matrices_of(const EncoderLayerSource& layer) {
  std::vector<const MatrixSource*> out{&layer.qkv, &layer.out, &layer.up, &layer.down};
  for (const MatrixSource* matrix : {&layer.distance_keys, &layer.distance_queries})
    if (!matrix->parts.empty()) out.push_back(matrix);
  return out;
}

/// Buffers of one pass.
struct EncoderWorkspace {
  at::Tensor x, qkv, heads, inner, active;
  EncoderWorkspace(const device::Engine& engine, std::int64_t n, const EncoderTraits& t)
      : x(engine.empty({n, t.width})),
        qkv(engine.empty({n, 3 * t.width})),
        heads(engine.empty({n, t.width})),
        inner(engine.empty({n, t.feed_forward})) {}
};

class EngineEncoder final : public Encoder {
 public:
  EngineEncoder(EncoderSource source, const LoadOptions& options)
      : source_(std::move(source)), precision_(options.precision), engine_(options.used_engine()) {
    std::size_t bytes = 0;
    for (const EncoderLayerSource& layer : source_.layers)
      for (const MatrixSource* matrix : matrices_of(layer))
        bytes += packed_bytes(*engine_, *matrix, precision_);
    const bool has_convolution = !source_.convolution.parts.empty();
    if (has_convolution) bytes += packed_bytes(*engine_, source_.convolution, precision_);
    std::byte* const memory = weight_memory(options, bytes, private_memory_);
    WeightPacker packer(memory, options);
    const auto norm = [&](const NormSource& from) {
      return read_norm(*engine_, from, NormKind::layer_norm, source_.traits.norm_eps);
    };
    std::vector<std::vector<device::Linear>> own;  // projections of distances, of each layer
    for (const EncoderLayerSource& layer : source_.layers) {
      layers_.push_back({norm(layer.attention_norm),
                         norm(layer.output_norm),
                         packer.linear(layer.qkv),
                         packer.linear(layer.out),
                         packer.linear(layer.up),
                         packer.linear(layer.down),
                         {}});
      own.emplace_back();
      for (const MatrixSource* matrix : {&layer.distance_keys, &layer.distance_queries})
        if (!matrix->parts.empty()) own.back().push_back(packer.linear(*matrix));
    }
    if (has_convolution) {
      convolution_ = packer.linear(source_.convolution);
      convolution_norm_ = norm(source_.convolution_norm);
    }
    if (memory != nullptr && options.memory.publish) options.memory.publish();
    embedding_norm_ = norm(source_.embedding_norm);
    for (const format::TensorInfo* tensor : {source_.embedding, source_.types, source_.positions}) {
      check_finite(tensor);
      tables_.push_back(tensor != nullptr ? read_table(*engine_, *tensor) : device::Table());
    }
    if (sees_distances()) project_distances(own);
  }

  std::int64_t width() const override { return source_.traits.width; }
  std::int64_t vocab_size() const override { return source_.traits.vocab_size; }
  std::int64_t max_tokens() const override { return source_.traits.max_tokens(); }
  std::string fingerprint() const override {
    return source_.fingerprint + (precision_ == device::Precision::bfloat16 ? ":bfloat16" : "");
  }
  std::string description() const override {
    const EncoderTraits& t = source_.traits;
    std::int64_t n_parameters = 0;
    for (const format::TensorInfo& tensor : source_.file->tensors())
      if (tensor.type != format::StoredType::i64 && tensor.type != format::StoredType::other)
        n_parameters += tensor.numel();
    return fmt::format("{}, {:.1f} M parameters, {} layers, D {}, V {}, at most {} tokens, {}", t.family,
                       static_cast<double>(n_parameters) * 1e-6, t.n_layers, t.width, t.vocab_size,
                       t.max_tokens(), precision_ == device::Precision::float32 ? "float32" : "bfloat16");
  }

  std::shared_ptr<const device::Engine> engine() const override { return engine_; }

  void run(const TokenTexts& texts, const Visitor& visit) const override {
    const auto d = static_cast<std::size_t>(width());
    for_passes(texts, [&](std::int64_t first, std::int64_t last, const at::Tensor& x, device::TextPass&) {
      const at::Tensor host = x.to(at::kCPU);
      std::span rest(host.const_data_ptr<float>(), static_cast<std::size_t>(host.numel()));
      for (std::int64_t i = first; i < last; ++i) {
        const std::size_t size = static_cast<std::size_t>(texts.length(i)) * d;
        visit(i, rest.first(size));
        rest = rest.subspan(size);
      }
    });
  }

  at::Tensor pool(const TokenTexts& texts, device::Pooling how) const override {
    std::vector<at::Tensor> parts;
    for_passes(texts, [&](std::int64_t, std::int64_t, const at::Tensor& x, const device::TextPass& pass) {
      parts.push_back(pass.pool(how, x));
    });
    if (parts.empty()) return engine_->empty({0, width()}).to(at::kDouble);
    return parts.size() == 1 ? parts.front() : at::cat(parts);
  }

 private:
  [[nodiscard]] bool sees_distances() const {
    return source_.traits.distances.span > 0 && source_.traits.n_score_terms > 1;
  }

  /// What each layer makes of the table of distances, which is the same for all texts.
  void project_distances(const std::vector<std::vector<device::Linear>>& own) {
    const DistanceTraits& traits = source_.traits.distances;
    const std::int64_t d = width(), n = 2 * traits.span, farthest = max_tokens() - 1;
    at::Tensor table = engine_->upload(format::read_f32(*source_.distances)).view({n, d});
    if (traits.is_normalised)
      engine_->normalise(
          read_norm(*engine_, source_.distance_norm, NormKind::layer_norm, source_.traits.norm_eps), table,
          table);
    for (std::int64_t distance = -farthest; distance <= farthest; ++distance)
      row_of_.push_back(row_of_distance(traits, distance));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      device::RelativePositions& to = layers_[i].distances;
      to.row_of = row_of_;
      auto mine = own[i].begin();
      at::Tensor shared;
      if (!traits.has_own_projections) {
        shared = engine_->empty({n, 3 * d});
        engine_->project(table, layers_[i].qkv, shared);
      }
      const auto projected = [&](std::int64_t begin) {
        if (!traits.has_own_projections) return shared.narrow(1, begin, d).contiguous();
        at::Tensor out = engine_->empty({n, d});
        engine_->project(table, *mine++, out);
        return out;
      };
      if (traits.meets_keys) to.keys = projected(d);
      if (traits.meets_queries) to.queries = projected(0);
    }
  }

  /// Rows of the embeddings are read where the file maps them, so that damage must be found now.
  static void check_finite(const format::TensorInfo* tensor) {
    if (tensor == nullptr) return;
    constexpr std::int64_t slice = 1024;
    std::vector<float> rows(static_cast<std::size_t>(slice * tensor->shape[1]));
    for (std::int64_t begin = 0; begin < tensor->shape[0]; begin += slice) {
      const std::int64_t end = std::min(tensor->shape[0], begin + slice);
      format::read_rows_f32(
          *tensor, begin, end,
          std::span(rows).first(static_cast<std::size_t>((end - begin) * tensor->shape[1])));
    }
  }

  void check(const TokenTexts& texts) const {
    TWISTOR_ASSERT(texts.ids.size() == texts.type_ids.size() &&
                       texts.begins.back() == static_cast<std::int64_t>(texts.ids.size()),
                   "token texts must have as many types as tokens");
    const EncoderTraits& t = source_.traits;
    for (std::int64_t i = 0; i < texts.size(); ++i)
      TWISTOR_CHECK(texts.length(i) > 0 && texts.length(i) <= max_tokens(), ErrorKind::usage, running,
                    fmt::format("text {} has {} tokens (expected 1 to {})", i, texts.length(i), max_tokens()),
                    "the tokenizer should put special tokens around texts and cut long ones");
    for (std::size_t r = 0; r < texts.ids.size(); ++r) {
      TWISTOR_CHECK(texts.ids[r] >= 0 && texts.ids[r] < t.vocab_size, ErrorKind::usage, running,
                    fmt::format("token id {} is out of range (vocabulary {})", texts.ids[r], t.vocab_size),
                    "use the tokenizer that belongs to the model");
      TWISTOR_CHECK(t.n_types == 0 || (texts.type_ids[r] >= 0 && texts.type_ids[r] < t.n_types),
                    ErrorKind::usage, running,
                    fmt::format("token type {} is out of range (there are {})", texts.type_ids[r], t.n_types),
                    "use the tokenizer that belongs to the model");
    }
  }

  /// done(first, last, hidden states of the texts [first, last), their pass), some texts at a time.
  template <class Done>
  void for_passes(const TokenTexts& texts, Done done) const {
    check(texts);
    const at::AutoDispatchBelowADInplaceOrView no_gradients;  // spares their bookkeeping
    const std::int64_t at_once = std::max(engine_->rows_at_once(), least_rows_at_once);
    for (std::int64_t begin = 0, end = 0; begin < texts.size(); begin = end) {
      std::int64_t rows = 0;
      while (end < texts.size() && (end == begin || rows + texts.length(end) <= at_once))
        rows += texts.length(end++);
      std::vector<std::int64_t> begins;
      for (std::int64_t i = begin; i <= end; ++i)
        begins.push_back(texts.begins[static_cast<std::size_t>(i)] -
                         texts.begins[static_cast<std::size_t>(begin)]);
      const auto pass = engine_->begin_texts(begins);
      done(begin, end, hidden_states(texts, begin, rows, *pass), *pass);
    }
  }

  at::Tensor hidden_states(const TokenTexts& texts, std::int64_t first, std::int64_t n,
                           device::TextPass& pass) const {
    EncoderWorkspace work(*engine_, n, source_.traits);
    embed(texts, first, n, work.x);
    const at::Tensor convolved =
        convolution_norm_.is_defined() ? convolve(texts, first, work.x) : at::Tensor();
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const EncoderLayer& layer = layers_[i];
      engine_->project(work.x, layer.qkv, work.qkv);
      pass.attend({.n_heads = source_.traits.n_heads,
                   .n_terms = source_.traits.n_score_terms,
                   .positions = sees_distances() ? &layer.distances : nullptr},
                  work.qkv, work.heads);
      engine_->project(work.heads, layer.out, work.x, true);
      engine_->normalise(layer.attention_norm, work.x, work.x);
      engine_->project(work.x, layer.up, work.inner);
      engine_->activate(source_.traits.activation, false, work.inner, work.active);
      engine_->project(work.active, layer.down, work.x, true);
      engine_->normalise(layer.output_norm, work.x, work.x);
      if (i > 0 || !convolved.defined()) continue;
      work.x = work.x.add(convolved);
      engine_->normalise(convolution_norm_, work.x, work.x);
    }
    TWISTOR_CHECK(engine_->is_finite(work.x), ErrorKind::data, running, "a hidden state is not finite",
                  "the weights are damaged, or too large for this dtype");
    return work.x;
  }

  /// Of each token what its neighbours and it are in `x`, by one matrix; beyond a text's ends all is 0.
  // (n, D)
  [[nodiscard]] at::Tensor convolve(const TokenTexts& texts, std::int64_t first, const at::Tensor& x) const {
    const std::int64_t n = x.size(0), d = width(), k = source_.traits.convolution.kernel_size;
    std::vector<std::int64_t> seen;  // (n, k) rows of x; row n: none
    for (std::int64_t text = first, begin = 0; begin < n; begin += texts.length(text++))
      for (std::int64_t j = 0; j < texts.length(text); ++j)
        for (std::int64_t at = j - k / 2; at <= j + k / 2; ++at)
          seen.push_back(at >= 0 && at < texts.length(text) ? begin + at : n);
    const at::Tensor rows = at::cat({x, at::zeros({1, d}, x.options())})
                                .index_select(0, device::to_device(seen, x.device()))
                                .view({n, k, d})
                                .transpose(1, 2)
                                .reshape({n, d * k});
    at::Tensor inner = engine_->empty({n, d}), active = engine_->empty(inner.sizes());
    engine_->project(rows, convolution_, inner);
    engine_->activate(source_.traits.convolution.activation, false, inner, active);
    return active;
  }

  void embed(const TokenTexts& texts, std::int64_t first, std::int64_t n, at::Tensor& x) const {
    const std::int64_t begin = texts.begins[static_cast<std::size_t>(first)];
    const auto ids =
        std::span(texts.ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n));
    const auto types =
        std::span(texts.type_ids).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n));
    std::vector<std::int64_t> positions;
    for (std::int64_t text = first; static_cast<std::int64_t>(positions.size()) < n; ++text) {
      std::int64_t next = source_.traits.padding_id + 1;
      for (std::int64_t j = 0; j < texts.length(text); ++j) {
        const std::int64_t id = ids[positions.size()];
        positions.push_back(id == source_.traits.padding_id ? id : next++);
      }
    }
    engine_->look_up(tables_[0], ids, x, false);
    if (source_.types != nullptr) engine_->look_up(tables_[1], types, x, true);
    if (source_.positions != nullptr) engine_->look_up(tables_[2], positions, x, true);
    engine_->normalise(embedding_norm_, x, x);
  }

  EncoderSource source_;
  device::Precision precision_;
  std::shared_ptr<const device::Engine> engine_;
  std::vector<std::byte> private_memory_;
  std::vector<EncoderLayer> layers_;
  device::Norm embedding_norm_, convolution_norm_;
  device::Linear convolution_;         // of the first layer's input; none without its norm
  std::vector<device::Table> tables_;  // tokens, types, positions
  std::vector<std::int64_t> row_of_;   // of distances: see device::RelativePositions
};

}  // namespace

void TokenTexts::add(std::span<const std::int64_t> text_ids, std::span<const std::int64_t> text_type_ids) {
  TWISTOR_ASSERT(text_ids.size() == text_type_ids.size(), "a text must have as many types as tokens");
  ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  type_ids.insert(type_ids.end(), text_type_ids.begin(), text_type_ids.end());
  begins.push_back(static_cast<std::int64_t>(ids.size()));
}

std::unique_ptr<Encoder> make_encoder(EncoderSource source, const LoadOptions& options) {
  return std::make_unique<EngineEncoder>(std::move(source), options);
}

std::unique_ptr<Encoder> load_encoder(const std::filesystem::path& folder, const LoadOptions& options) {
  return make_encoder(open_encoder(folder), options);
}

}  // namespace twistor::model
