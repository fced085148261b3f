// Head twists: forward and backward by hand, over the engine.
#include "twistor/twist/head.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/where.h>
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

constexpr std::string_view forms[] = {"linear", "mlp", "tied_linear", "tied_mlp"};

/// 1 / (D rms(E)). Rows are summed one by one, so that the bits do not depend on threads.
float tied_scale(const device::Engine& engine, const device::Weight& e) {
  constexpr std::int64_t rows_at_once = 4096;
  double sum = 0;
  for (std::int64_t begin = 0; begin < e.n(); begin += rows_at_once) {
    std::vector<std::int64_t> index(static_cast<std::size_t>(std::min(rows_at_once, e.n() - begin)));
    std::iota(index.begin(), index.end(), begin);
    const std::vector<float> rows = device::to_host(engine.read_rows(e, index));
    std::vector<double> squares(index.size());
    const auto n = static_cast<std::int64_t>(index.size());
#pragma omp parallel for schedule(static)
    for (std::int64_t v = 0; v < n; ++v)
      for (std::int64_t c = 0; c < e.k(); ++c) {
        const auto x = static_cast<double>(rows[static_cast<std::size_t>(v * e.k() + c)]);
        squares[static_cast<std::size_t>(v)] += x * x;
      }
    sum = std::accumulate(squares.begin(), squares.end(), sum);
  }
  TWISTOR_CHECK(sum > 0, ErrorKind::data, "making the twist", "the model's output embedding is zero");
  const auto d = static_cast<double>(e.k());
  return static_cast<float>(1.0 / (d * std::sqrt(sum / (static_cast<double>(e.n()) * d))));
}

/// The distinct ones of some tokens, increasing, and for each of the tokens its place among them.
struct Distinct {
  explicit Distinct(std::span<const std::int64_t> all) : tokens(all.begin(), all.end()) {
    std::sort(tokens.begin(), tokens.end());
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (const std::int64_t token : all)
      place.push_back(std::lower_bound(tokens.begin(), tokens.end(), token) - tokens.begin());
  }
  std::vector<std::int64_t> tokens, place;
};

/// By h, (n, D), from that by x = h / rms(h).
at::Tensor unit_rms_gradient(const at::Tensor& hidden, const at::Tensor& x, const at::Tensor& on_x) {
  const at::Tensor rms = hidden.square().mean(1, /*keepdim=*/true).sqrt();
  const at::Tensor along = on_x.mul(x).mean(1, /*keepdim=*/true);
  return on_x.sub(x.mul(along)).div_(at::where(rms.eq(0), 1, rms));
}

std::vector<float> to_float(std::span<const double> x) {
  return {x.begin(), x.end()};
}

}  // namespace

std::span<const std::string_view> head_forms() {
  return forms;
}

HeadTwist::HeadTwist(std::string_view form, const TwistOptions& o)
    : form_(form),
      width_(o.width),
      vocab_size_(o.vocab_size),
      first_column_(o.first_column),
      engine_(o.engine),
      n_relu_(form.ends_with("mlp") ? 2 : 0) {
  TWISTOR_CHECK(std::ranges::find(forms, form) != std::end(forms), ErrorKind::config, "making the twist",
                fmt::format("twist.form is \"{}\", expected {}", form, fmt::join(forms, ", ")));
  const bool is_tied = form.starts_with("tied_");
  if (is_tied) {
    TWISTOR_CHECK(
        o.output_matrix != nullptr, ErrorKind::config, "making the twist",
        fmt::format("twist.form = {} needs the language model's output embedding, and this model has none",
                    form),
        "set twist.form = linear or mlp");
    TWISTOR_ASSERT(o.output_matrix->n() == vocab_size_ && o.output_matrix->k() == width_,
                   "an output embedding has a row for each token");
    tied_ = o.output_matrix;
    scale_ = tied_scale(*engine_, *tied_);
  }
  const auto n_hidden = static_cast<std::uint32_t>(n_relu_);
  const auto add_layer = [&](const std::string& name, std::int64_t n, double scale, std::uint32_t index) {
    parameters_.push_back(random_weight(name + ".weight", n, width_, scale, o.seed, index));
    parameters_.push_back(zero_bias(name + ".bias", n));
    layers_.push_back({engine_->make_weight(n, width_, o.precision), {}});
  };
  for (std::uint32_t i = 0; i < n_hidden; ++i) add_layer(fmt::format("hidden{}", i), width_, 1.0, i);
  if (is_tied) {
    add_layer("direction", width_, o.init_scale, n_hidden);
  } else {
    add_layer("output", vocab_size_, o.init_scale, n_hidden);
  }
  if (!is_tied)
    for (std::size_t i : {parameters_.size() - 2, parameters_.size() - 1})
      parameters_[i].has_row_gradient = true;
  for (std::size_t i = 0; i < n_dense_layers(); ++i)
    transposed_.push_back({engine_->make_weight(width_, width_, device::Precision::float32), {}});
  refresh();
}

void HeadTwist::refresh() {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    engine_->write_rows(layers_[i].weight, 0, parameters_[2 * i].value);
    layers_[i].bias = engine_->upload(parameters_[2 * i + 1].value);
    if (i < transposed_.size()) engine_->write_transposed(transposed_[i].weight, parameters_[2 * i].value);
  }
}

at::Tensor HeadTwist::input(const at::Tensor& hidden) const {
  const at::Tensor x = hidden.narrow(1, first_column_, width_).contiguous();
  return tied_ == nullptr ? x : engine_->unit_rms(x);
}

std::vector<at::Tensor> HeadTwist::dense_layers(const at::Tensor& x) const {
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < n_dense_layers(); ++i) {
    at::Tensor y = engine_->empty({x.size(0), width_});
    engine_->project(i == 0 ? x : out[i - 1], layers_[i], y);
    if (has_relu(i)) y.clamp_min_(0);
    out.push_back(y);
  }
  return out;
}

at::Tensor HeadTwist::features(const at::Tensor& hidden) const {
  if (n_dense_layers() == 0) return hidden.narrow(1, first_column_, width_);
  return dense_layers(input(hidden)).back().mul_(scale_);
}

void HeadTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                        at::Tensor& out) const {
  engine_->project_columns(features, tied_ != nullptr ? device::Linear{*tied_, {}} : layers_.back(), v_begin,
                           v_end, out);
}

at::Tensor HeadTwist::output_rows(std::span<const std::int64_t> tokens,
                                  std::span<const double> weight) const {
  std::vector<float> factor = to_float(weight);
  for (float& f : factor) f *= scale_;
  at::Tensor rows;
  if (tied_ != nullptr) {
    rows = engine_->read_rows(*tied_, tokens);
  } else {  // the parameters as they are, which the engine may hold rounded
    const std::vector<float>& w_out = parameters_[2 * n_dense_layers()].value;
    std::vector<float> values;
    values.reserve(tokens.size() * static_cast<std::size_t>(width_));
    for (const std::int64_t token : tokens)
      values.insert(values.end(), w_out.begin() + token * width_, w_out.begin() + (token + 1) * width_);
    rows = engine_->upload(values).view({static_cast<std::int64_t>(tokens.size()), width_});
  }
  return rows.mul_(engine_->upload(factor).unsqueeze(1));
}

void HeadTwist::output_gradient(const at::Tensor& features, const LogPsiTerms& terms,
                                const GradientSink& sink) const {
  Distinct distinct(terms.tokens);
  const auto n = static_cast<std::int64_t>(distinct.tokens.size());
  const std::vector<float> weight = to_float(terms.on_log_psi);
  std::vector<float> bias(distinct.tokens.size());
  for (std::size_t i = 0; i < weight.size(); ++i)
    bias[static_cast<std::size_t>(distinct.place[i])] += weight[i];
  sink({2 * n_dense_layers(), distinct.tokens,
        device::to_host(engine_->sum_by_group(features, weight, distinct.place, n))});
  sink({2 * n_dense_layers() + 1, std::move(distinct.tokens), std::move(bias)});
}

at::Tensor HeadTwist::dense_gradient(const at::Tensor& x, const std::vector<at::Tensor>& layers,
                                     at::Tensor back, const GradientSink& sink, bool wants_input) const {
  for (std::size_t layer = n_dense_layers(); layer-- > 0;) {
    if (has_relu(layer)) back.masked_fill_(layers[layer].le(0), 0);
    sink({2 * layer, {}, device::to_host(engine_->product_at_b(back, layer == 0 ? x : layers[layer - 1]))});
    sink({2 * layer + 1, {}, device::to_host(engine_->column_sums(back))});
    if (layer == 0 && !wants_input) break;
    at::Tensor before = engine_->empty({back.size(0), width_});
    engine_->project(back, transposed_[layer], before);
    back = before;
  }
  return back;
}

at::Tensor HeadTwist::differentiate(const LogPsiTerms& terms, const GradientSink& sink,
                                    bool wants_hidden) const {
  TWISTOR_ASSERT(static_cast<std::int64_t>(terms.tokens.size()) == terms.hidden.size(0) &&
                     terms.tokens.size() == terms.on_log_psi.size(),
                 "a gradient needs one token and one derivative for each row");
  const at::Tensor x = input(terms.hidden);
  const std::vector<at::Tensor> layers = dense_layers(x);
  if (tied_ == nullptr) output_gradient(layers.empty() ? x : layers.back(), terms, sink);
  if (layers.empty() && !wants_hidden) return {};
  at::Tensor back = output_rows(terms.tokens, terms.on_log_psi);
  back = dense_gradient(x, layers, std::move(back), sink, wants_hidden);
  if (!wants_hidden || tied_ == nullptr) return back;
  return unit_rms_gradient(terms.hidden.narrow(1, first_column_, width_), x, back);
}

}  // namespace twistor::twist
