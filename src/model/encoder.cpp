// SPDX-License-Identifier: Apache-2.0
// The encoder: packed weights, and the forward pass over whole texts of different lengths.
#include "twistor/model/encoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "encoder_attention.hpp"
#include "encoder_families.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/row_kernels.hpp"
#include "weight_packer.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t rows_at_once = 2048;  // bounds the buffers of many texts
constexpr const char* running = "running the encoder";

struct EncoderLayer {
  device::Norm attention_norm, output_norm;
  device::Linear qkv, out, up, down;
};

/// Buffers of one pass.
struct EncoderWorkspace {
  EncoderWorkspace(std::int64_t n, const EncoderTraits& t)
      : x(size(n, t.width)),
        sum(size(n, t.width)),
        qkv(size(n, 3 * t.width)),
        heads(size(n, t.width)),
        inner(size(n, t.feed_forward)) {}
  static std::size_t size(std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); }
  std::vector<float> x, sum, qkv, heads, inner;
};

class PackedEncoder final : public Encoder {
 public:
  PackedEncoder(EncoderSource source, const LoadOptions& options)
      : source_(std::move(source)), precision_(options.precision) {
    const device::Engine& engine = *device::cpu_engine();
    std::size_t bytes = 0;
    for (const EncoderLayerSource& layer : source_.layers)
      for (const MatrixSource* matrix : {&layer.qkv, &layer.out, &layer.up, &layer.down})
        bytes += packed_bytes(engine, *matrix, precision_);
    WeightPacker packer(weight_memory(options, bytes, private_memory_), options);
    for (const EncoderLayerSource& layer : source_.layers)
      layers_.push_back({read_norm(engine, layer.attention_norm), read_norm(engine, layer.output_norm),
                         packer.linear(layer.qkv), packer.linear(layer.out), packer.linear(layer.up),
                         packer.linear(layer.down)});
    if (options.memory.publish) options.memory.publish();
    embedding_norm_ = read_norm(engine, source_.embedding_norm);
    for (const format::TensorInfo* tensor : {source_.embedding, source_.positions, source_.types})
      check_finite(tensor);
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

  void run(const TokenTexts& texts, const Visitor& visit) const override {
    check(texts);
    for (std::int64_t begin = 0, end = 0; begin < texts.size(); begin = end) {
      std::int64_t rows = 0;
      while (end < texts.size() && (end == begin || rows + texts.length(end) <= rows_at_once))
        rows += texts.length(end++);
      pass(texts, begin, end, visit);
    }
  }

 private:
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

  void pass(const TokenTexts& texts, std::int64_t first, std::int64_t last, const Visitor& visit) const {
    const auto begins =
        std::span(texts.begins)
            .subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first) + 1);
    const std::int64_t d = width(), n = begins.back() - begins.front();
    std::vector<std::int64_t> rows(begins.size());
    std::ranges::transform(begins, rows.begin(), [&](std::int64_t row) { return row - begins.front(); });
    EncoderWorkspace work(n, source_.traits);
    embed(texts, begins, work);
    for (const EncoderLayer& layer : layers_) {
      apply(work.x, n, layer.qkv, work.qkv);
      attend_texts(work.qkv.data(), rows, work.heads.data(),
                   {source_.traits.n_heads, d / source_.traits.n_heads});
      work.sum = work.x;
      apply(work.heads, n, layer.out, work.sum, true);
      normalise(layer.attention_norm, work.sum, n, work.x);
      apply(work.x, n, layer.up, work.inner);
      activate(work.inner, n);
      work.sum = work.x;
      apply(work.inner, n, layer.down, work.sum, true);
      normalise(layer.output_norm, work.sum, n, work.x);
    }
    for (const float value : work.x)
      TWISTOR_CHECK(std::isfinite(value), ErrorKind::data, running, "a hidden state is not finite",
                    "the weights are damaged, or too large for this dtype");
    for (std::int64_t i = first; i < last; ++i)
      visit(i,
            std::span(work.x).subspan(static_cast<std::size_t>(rows[static_cast<std::size_t>(i - first)] * d),
                                      static_cast<std::size_t>(texts.length(i) * d)));
  }

  void embed(const TokenTexts& texts, std::span<const std::int64_t> begins, EncoderWorkspace& work) const {
    const auto d = static_cast<std::size_t>(width());
    std::vector<float> part(d);
    const auto add = [&](const format::TensorInfo* table, std::int64_t row, std::span<float> out) {
      if (table == nullptr) return;
      format::read_rows_f32(*table, row, row + 1, part);
      for (std::size_t i = 0; i < d; ++i) out[i] += part[i];
    };
    auto out = std::span(work.sum).begin();
    for (std::size_t text = 0; text + 1 < begins.size(); ++text) {
      std::int64_t next_position = source_.traits.padding_id + 1;
      for (std::int64_t r = begins[text]; r < begins[text + 1]; ++r, out += width()) {
        const std::int64_t id = texts.ids[static_cast<std::size_t>(r)];
        const std::int64_t position = id == source_.traits.padding_id ? id : next_position++;
        const std::span<float> row(out, d);
        format::read_rows_f32(*source_.embedding, id, id + 1, row);
        add(source_.types, texts.type_ids[static_cast<std::size_t>(r)], row);
        add(source_.positions, position, row);
      }
    }
    normalise(embedding_norm_, work.sum, begins.back() - begins.front(), work.x);
  }

  void normalise(const device::Norm& norm, const std::vector<float>& x, std::int64_t n,
                 std::vector<float>& out) const {
    const std::int64_t d = width();
    const auto eps = static_cast<float>(source_.traits.norm_eps);
#pragma omp parallel for schedule(static) if (n * d > 50000)
    for (std::int64_t r = 0; r < n; ++r)
      device::rows::layer_norm(x.data() + r * d, norm.weight.const_data_ptr<float>(),
                               norm.bias.const_data_ptr<float>(), eps, d, out.data() + r * d);
  }

  void activate(std::vector<float>& inner, std::int64_t n) const {
    const std::int64_t f = source_.traits.feed_forward;
#pragma omp parallel for schedule(static) if (n * f > 10000)
    for (std::int64_t r = 0; r < n; ++r) source_.traits.activation(inner.data() + r * f, f);
  }

  static void apply(const std::vector<float>& x, std::int64_t n, const device::Linear& w,
                    std::vector<float>& y, bool accumulate = false) {
    device::multiply(x, n, w.weight.packed, y, {w.bias.const_data_ptr<float>(), accumulate});
  }

  EncoderSource source_;
  device::Precision precision_;
  std::vector<std::byte> private_memory_;
  std::vector<EncoderLayer> layers_;
  device::Norm embedding_norm_;
};

}  // namespace

void TokenTexts::add(std::span<const std::int64_t> text_ids, std::span<const std::int64_t> text_type_ids) {
  TWISTOR_ASSERT(text_ids.size() == text_type_ids.size(), "a text must have as many types as tokens");
  ids.insert(ids.end(), text_ids.begin(), text_ids.end());
  type_ids.insert(type_ids.end(), text_type_ids.begin(), text_type_ids.end());
  begins.push_back(static_cast<std::int64_t>(ids.size()));
}

std::unique_ptr<Encoder> make_encoder(EncoderSource source, const LoadOptions& options) {
  return std::make_unique<PackedEncoder>(std::move(source), options);
}

std::unique_ptr<Encoder> load_encoder(const std::filesystem::path& folder, const LoadOptions& options) {
  return make_encoder(open_encoder(folder), options);
}

}  // namespace twistor::model
