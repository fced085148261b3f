// Head twists: forward through packed products, backward by hand.
#include "twistor/twist/head.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::twist {
namespace {

Parameter random_weight(const std::string& name, std::int64_t out, std::int64_t in, double scale,
                        std::uint64_t seed, std::uint32_t index) {
  Parameter p{name, {out, in}, std::vector<float>(static_cast<std::size_t>(out * in))};
  const double deviation = scale * std::sqrt(2.0 / static_cast<double>(in + out));
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < out; ++row) {
    Philox random(seed, Stream::twist_init, index, static_cast<std::uint64_t>(row));
    for (std::int64_t c = 0; c < in; ++c)
      p.value[static_cast<std::size_t>(row * in + c)] = static_cast<float>(deviation * random.normal());
  }
  return p;
}

Parameter zero_bias(const std::string& name, std::int64_t n) {
  return {name, {n}, std::vector<float>(static_cast<std::size_t>(n))};
}

/// The output layer's rows: for each token, weights and bias gathered over the rows that chose it, in order.
struct OutputRows {
  std::vector<std::int64_t> tokens;  // increasing
  std::vector<float> weight, bias;
};
OutputRows output_gradient(std::span<const float> features, std::int64_t width,
                           std::span<const std::int64_t> tokens, std::span<const double> on_log_psi) {
  OutputRows out;
  out.tokens.assign(tokens.begin(), tokens.end());
  std::sort(out.tokens.begin(), out.tokens.end());
  out.tokens.erase(std::unique(out.tokens.begin(), out.tokens.end()), out.tokens.end());
  out.weight.assign(out.tokens.size() * static_cast<std::size_t>(width), 0.0f);
  out.bias.assign(out.tokens.size(), 0.0f);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto slot = std::lower_bound(out.tokens.begin(), out.tokens.end(), tokens[i]) - out.tokens.begin();
    float* row = out.weight.data() + slot * width;
    const float* x = features.data() + static_cast<std::int64_t>(i) * width;
    const auto g = static_cast<float>(on_log_psi[i]);
    for (std::int64_t c = 0; c < width; ++c) row[c] += g * x[c];
    out.bias[static_cast<std::size_t>(slot)] += g;
  }
  return out;
}

constexpr std::string_view forms[] = {"linear", "mlp", "tied_linear", "tied_mlp"};

/// 1 / (D rms(E)). Rows are summed one by one, so that the bits do not depend on threads.
float tied_scale(const device::PackedMatrix& e) {
  std::vector<double> squares(static_cast<std::size_t>(e.n()));
#pragma omp parallel for schedule(static)
  for (std::int64_t v = 0; v < e.n(); ++v) {
    std::vector<float> row(static_cast<std::size_t>(e.k()));
    e.read_row(v, row);
    for (const float x : row)
      squares[static_cast<std::size_t>(v)] += static_cast<double>(x) * static_cast<double>(x);
  }
  const double sum = std::accumulate(squares.begin(), squares.end(), 0.0);
  TWISTOR_CHECK(sum > 0, ErrorKind::data, "making the twist", "the model's output embedding is zero");
  const auto d = static_cast<double>(e.k());
  return static_cast<float>(1.0 / (d * std::sqrt(sum / (static_cast<double>(e.n()) * d))));
}

}  // namespace

std::span<const std::string_view> head_forms() {
  return forms;
}

HeadTwist::HeadTwist(const std::string& form, std::int64_t width, std::int64_t vocab_size,
                     device::Precision precision, double init_scale, std::uint64_t seed,
                     const device::PackedMatrix* output_matrix)
    : form_(form), width_(width), vocab_size_(vocab_size), n_relu_(form.ends_with("mlp") ? 2 : 0) {
  TWISTOR_CHECK(std::ranges::find(forms, form) != std::end(forms), ErrorKind::config, "making the twist",
                fmt::format("twist.form is \"{}\", expected {}", form, fmt::join(forms, ", ")));
  const bool is_tied = form.starts_with("tied_");
  if (is_tied) {
    TWISTOR_CHECK(
        output_matrix != nullptr, ErrorKind::config, "making the twist",
        fmt::format("twist.form = {} needs the language model's output embedding, and this model has none",
                    form),
        "set twist.form = linear or mlp");
    TWISTOR_ASSERT(output_matrix->n() == vocab_size && output_matrix->k() == width,
                   "an output embedding has a row for each token");
    tied_ = output_matrix;
    scale_ = tied_scale(*tied_);
  }
  const auto n_hidden = static_cast<std::uint32_t>(n_relu_);
  const auto add_layer = [&](const std::string& name, std::int64_t n, double scale, std::uint32_t index) {
    parameters_.push_back(random_weight(name + ".weight", n, width, scale, seed, index));
    parameters_.push_back(zero_bias(name + ".bias", n));
    packed_.emplace_back(n, width, precision);
  };
  for (std::uint32_t i = 0; i < n_hidden; ++i) add_layer(fmt::format("hidden{}", i), width, 1.0, i);
  if (is_tied) {
    add_layer("direction", width, init_scale, n_hidden);
  } else {
    add_layer("output", vocab_size, init_scale, n_hidden);
  }
  if (!is_tied)
    for (std::size_t i : {parameters_.size() - 2, parameters_.size() - 1})
      parameters_[i].has_row_gradient = true;
  for (std::size_t i = 0; i < n_dense_layers(); ++i)
    transposed_.emplace_back(width, width, device::Precision::float32);
  refresh();
}

void HeadTwist::refresh() {
  for (std::size_t i = 0; i < packed_.size(); ++i) {
    packed_[i].matrix().pack_rows(0, parameters_[2 * i].value);
    if (i < transposed_.size()) transposed_[i].matrix().pack_transposed(parameters_[2 * i].value);
  }
}

std::vector<float> HeadTwist::input(const at::Tensor& hidden) const {
  const at::Tensor contiguous = hidden.narrow(1, 0, width_).contiguous();
  const float* begin = contiguous.const_data_ptr<float>();
  std::vector<float> x(begin, begin + contiguous.numel());
  if (tied_ == nullptr) return x;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < hidden.size(0); ++i) {
    const std::span<float> row =
        std::span(x).subspan(static_cast<std::size_t>(i * width_), static_cast<std::size_t>(width_));
    double sum = 0;
    for (const float v : row) sum += static_cast<double>(v) * static_cast<double>(v);
    if (sum == 0) continue;  // after the end of a text
    const auto factor = static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(width_)));
    for (float& v : row) v *= factor;
  }
  return x;
}

std::vector<std::vector<float>> HeadTwist::dense_layers(std::span<const float> x, std::int64_t n) const {
  std::vector<std::vector<float>> out;
  for (std::size_t i = 0; i < n_dense_layers(); ++i) {
    out.emplace_back(static_cast<std::size_t>(n * width_));
    device::multiply(i == 0 ? x : std::span<const float>(out[i - 1]), n, packed_[i].matrix(), out[i],
                     {parameters_[2 * i + 1].value.data(), false});
    if (has_relu(i))
      for (float& v : out[i]) v = std::max(v, 0.0f);
  }
  return out;
}

at::Tensor HeadTwist::features(const at::Tensor& hidden) const {
  if (n_dense_layers() == 0) return hidden.narrow(1, 0, width_);
  const auto layers = dense_layers(input(hidden), hidden.size(0));
  at::Tensor out = at::empty({hidden.size(0), width_}, hidden.options());
  std::transform(layers.back().begin(), layers.back().end(), out.mutable_data_ptr<float>(),
                 [&](float v) { return scale_ * v; });
  return out;
}

void HeadTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                        at::Tensor& out) const {
  device::multiply(features.const_data_ptr<float>(), features.stride(0), features.size(0),
                   tied_ != nullptr ? *tied_ : packed_.back().matrix(), v_begin, v_end,
                   out.mutable_data_ptr<float>(), out.stride(0),
                   {tied_ != nullptr ? nullptr : parameters_.back().value.data(), false});
}

std::vector<float> HeadTwist::output_rows(std::span<const std::int64_t> tokens,
                                          std::span<const double> weight) const {
  const auto n = static_cast<std::int64_t>(tokens.size());
  const auto d = static_cast<std::size_t>(width_);
  std::vector<float> rows(tokens.size() * d);
  const std::vector<float>& w_out = parameters_[parameters_.size() - 2].value;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i), token = static_cast<std::size_t>(tokens[at]);
    const std::span<float> row = std::span(rows).subspan(at * d, d);
    if (tied_ != nullptr) {
      tied_->read_row(tokens[at], row);
    } else {
      std::copy_n(w_out.begin() + static_cast<std::ptrdiff_t>(token * d), d, row.begin());
    }
    const float g = scale_ * static_cast<float>(weight[at]);
    for (float& v : row) v *= g;
  }
  return rows;
}

void HeadTwist::dense_gradient(std::span<const float> x, const std::vector<std::vector<float>>& layers,
                               std::vector<float> back, const GradientSink& sink) const {
  const std::int64_t d = width_, n = static_cast<std::int64_t>(back.size()) / d;
  for (std::size_t layer = n_dense_layers(); layer-- > 0;) {
    if (has_relu(layer))
      for (std::size_t i = 0; i < back.size(); ++i)
        if (layers[layer][i] <= 0.0f) back[i] = 0.0f;
    std::vector<float> weight(static_cast<std::size_t>(d * d)), bias(static_cast<std::size_t>(d));
    device::multiply_at_b(back, layer == 0 ? x : std::span<const float>(layers[layer - 1]), n, d, d, weight);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t c = 0; c < d; ++c)
        bias[static_cast<std::size_t>(c)] += back[static_cast<std::size_t>(i * d + c)];
    sink({2 * layer, {}, std::move(weight)});
    sink({2 * layer + 1, {}, std::move(bias)});
    if (layer == 0) break;
    std::vector<float> before(back.size());
    device::multiply(back, n, transposed_[layer].matrix(), before);
    back = std::move(before);
  }
}

void HeadTwist::gradient(const LogPsiTerms& terms, const GradientSink& sink) const {
  const std::int64_t n = terms.hidden.size(0);
  TWISTOR_ASSERT(
      static_cast<std::int64_t>(terms.tokens.size()) == n && terms.tokens.size() == terms.on_log_psi.size(),
      "a gradient needs one token and one derivative for each row");
  const std::vector<float> x = input(terms.hidden);
  const auto layers = dense_layers(x, n);
  if (tied_ == nullptr) {
    OutputRows rows =
        output_gradient(layers.empty() ? x : layers.back(), width_, terms.tokens, terms.on_log_psi);
    sink({parameters_.size() - 2, rows.tokens, std::move(rows.weight)});
    sink({parameters_.size() - 1, std::move(rows.tokens), std::move(rows.bias)});
  }
  if (!layers.empty()) dense_gradient(x, layers, output_rows(terms.tokens, terms.on_log_psi), sink);
}

}  // namespace twistor::twist
