// SPDX-License-Identifier: Apache-2.0
// Head twists: forward and backward by hand, over the engine.
#include "twistor/twist/head.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "link.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::twist {
namespace {

/// The rows of a matrix (out, in) that this process writes.
CommonMemory::Part own_rows(const Values& values, std::int64_t in) {
  const std::int64_t begin = (values.part().data() - values.data()) / in;
  return {begin, begin + static_cast<std::int64_t>(values.part().size()) / in};
}

/// `value` has room for (out, in).
Parameter random_weight(const std::string& name, std::int64_t out, std::int64_t in, Values value,
                        double scale, std::uint64_t seed, std::uint32_t index) {
  const double deviation = scale * std::sqrt(2.0 / static_cast<double>(in + out));
  const auto [begin, end] = own_rows(value, in);
#pragma omp parallel for schedule(static)
  for (std::int64_t row = begin; row < end; ++row) {
    Philox random(seed, Stream::twist_init, index, static_cast<std::uint64_t>(row));
    for (std::int64_t c = 0; c < in; ++c)
      value[static_cast<std::size_t>(row * in + c)] = static_cast<float>(deviation * random.normal());
  }
  return {name, {out, in}, std::move(value)};
}

std::vector<float> zeros(std::int64_t n) {
  return std::vector<float>(static_cast<std::size_t>(n));
}

/// In common memory each process writes whole panels. Not for those that learn on a device.
Values matrix_values(std::int64_t out, std::int64_t in, const TwistOptions& o) {
  if (!o.common_memory || o.engine->keeps_tensors()) return zeros(out * in);
  std::shared_ptr<CommonMemory> memory = o.common_memory(static_cast<std::size_t>(out * in) * sizeof(float));
  if (memory == nullptr) return zeros(out * in);
  constexpr std::int64_t panel = device::PackedMatrix::panel_columns;
  const auto [begin, end] = memory->part_of((out + panel - 1) / panel);
  const auto first = [&](std::int64_t p) { return static_cast<std::size_t>(std::min(out, p * panel) * in); };
  return {std::move(memory), first(begin), first(end)};
}

Parameter zero_bias(const std::string& name, std::int64_t n) {
  return {name, {n}, zeros(n)};
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

/// What a value is linear in. (n, D) of unit scale, so that one learning rate fits all models.
at::Tensor value_input(const device::Engine& engine, const at::Tensor& columns) {
  return engine.unit_rms(columns.contiguous());
}

}  // namespace

std::span<const std::string_view> head_forms() {
  return forms;
}

HeadTwist::HeadTwist(std::string_view form, const TwistOptions& o)
    : form_(form),
      link_(o.link),
      width_(o.width + o.condition_width),
      vocab_size_(o.vocab_size),
      first_column_(o.first_column),
      engine_(o.engine),
      n_relu_(form.ends_with("mlp") ? 2 : 0),
      has_value_(o.has_value) {
  TWISTOR_CHECK(std::ranges::find(forms, form) != std::end(forms), ErrorKind::config, "making the twist",
                fmt::format("twist.form is \"{}\", expected {}", form, fmt::join(forms, ", ")));
  const bool is_tied = form.starts_with("tied_");
  if (is_tied) {
    TWISTOR_CHECK(
        o.output_matrix != nullptr, ErrorKind::config, "making the twist",
        fmt::format("twist.form = {} needs the language model's output embedding, and this model has none",
                    form),
        "set twist.form = linear or mlp");
    TWISTOR_CHECK(o.condition_width == 0, ErrorKind::config, "making the twist",
                  fmt::format("twist.form = {} has the width of the language model's output embedding, where "
                              "an observation finds no room",
                              form),
                  "set twist.form = mlp or linear, or twist.condition = none");
    TWISTOR_ASSERT(o.output_matrix->n() == vocab_size_ && o.output_matrix->k() == width_,
                   "an output embedding has a row for each token");
    tied_ = o.output_matrix;
    scale_ = tied_scale(*engine_, *tied_);
  }
  const auto n_hidden = static_cast<std::uint32_t>(n_relu_);
  const auto add_layer = [&](const std::string& name, double scale, std::uint32_t index) {
    parameters_.push_back(
        random_weight(name + ".weight", width_, width_, zeros(width_ * width_), scale, o.seed, index));
    parameters_.push_back(zero_bias(name + ".bias", width_));
    layers_.push_back({engine_->make_weight(width_, width_, o.precision), {}});
  };
  for (std::uint32_t i = 0; i < n_hidden; ++i) add_layer(fmt::format("hidden{}", i), 1.0, i);
  if (is_tied) {
    add_layer("direction", o.init_scale, n_hidden);
  } else {
    add_output(o, n_hidden);
  }
  if (!is_tied)
    for (std::size_t i : {parameters_.size() - 2, parameters_.size() - 1})
      parameters_[i].has_row_gradient = true;
  for (std::size_t i = 0; i < n_dense_layers(); ++i)
    transposed_.push_back({engine_->make_weight(width_, width_, device::Precision::float32), {}});
  if (has_value_) {
    parameters_.push_back({"value.weight", {1, width_}, zeros(width_)});
    parameters_.push_back(zero_bias("value.bias", 1));
    value_ = {engine_->make_weight(1, width_, device::Precision::float32), {}};
  }
  refresh();
}

void HeadTwist::add_output(const TwistOptions& o, std::uint32_t index) {
  Values values = matrix_values(vocab_size_, width_, o);
  const std::size_t bytes = engine_->weight_bytes(vocab_size_, width_, o.precision);
  if (values.common() != nullptr && bytes > 0) packed_ = o.common_memory(bytes);
  parameters_.push_back(
      random_weight("output.weight", vocab_size_, width_, std::move(values), o.init_scale, o.seed, index));
  parameters_.push_back(zero_bias("output.bias", vocab_size_));
  layers_.push_back({engine_->make_weight(vocab_size_, width_, o.precision,
                                          packed_ == nullptr ? nullptr : packed_->bytes().data()),
                     {}});
}

void HeadTwist::pack(std::size_t layer) {
  const Values& values = parameters_[2 * layer].value;
  if (values.common() != nullptr) values.common()->meet();  // all have written their part
  if (packed_ == nullptr || layer + 1 < layers_.size())
    return engine_->write_rows(layers_[layer].weight, 0, values);
  engine_->write_rows(layers_[layer].weight, own_rows(values, width_).begin, values.part());
  packed_->meet();
}

void HeadTwist::refresh() {
  if (engine_->keeps_tensors()) return refresh_tensors();
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    pack(i);
    layers_[i].bias = engine_->upload(parameters_[2 * i + 1].value);
    if (i < transposed_.size()) engine_->write_transposed(transposed_[i].weight, parameters_[2 * i].value);
  }
  if (!has_value_) return;
  engine_->write_rows(value_.weight, 0, parameters_[value_parameter()].value);
  value_.bias = engine_->upload(parameters_[value_parameter() + 1].value);
}

/// Where values are learned on the engine's device, nothing passes through main memory.
void HeadTwist::refresh_tensors() {
  const auto follow = [this](device::Linear& layer, std::size_t parameter) {
    layer.weight.dense.copy_(values_of(parameter));
    layer.bias = values_of(parameter + 1).clone();
  };
  for (std::size_t i = 0; i < layers_.size(); ++i) follow(layers_[i], 2 * i);
  for (std::size_t i = 0; i < transposed_.size(); ++i)
    transposed_[i].weight.dense.copy_(values_of(2 * i).t());
  if (has_value_) follow(value_, value_parameter());
}

at::Tensor HeadTwist::input(const at::Tensor& hidden) const {
  const at::Tensor x = columns(hidden).contiguous();
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
  if (n_dense_layers() == 0) return columns(hidden);
  return dense_layers(input(hidden)).back().mul_(scale_);
}

void HeadTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                        at::Tensor& out) const {
  engine_->project_columns(features, tied_ != nullptr ? device::Linear{*tied_, {}} : layers_.back(), v_begin,
                           v_end, out);
  if (link_ == Link::log_sigmoid) log_sigmoid(out, v_end - v_begin);
}

at::Tensor HeadTwist::output_rows(std::span<const std::int64_t> tokens) const {
  if (tied_ != nullptr) return engine_->read_rows(*tied_, tokens);
  return at::index_select(values_of(2 * n_dense_layers()), 0, device::to_device(tokens, engine_->device()));
}

at::Tensor HeadTwist::token_gradient(const at::Tensor& features, const GradientTerms& terms,
                                     const GradientSink& sink, bool wants_input) const {
  std::vector<float> weight = to_float(terms.on_score);
  if (tied_ == nullptr) {
    Distinct distinct(terms.tokens);
    const auto n = static_cast<std::int64_t>(distinct.tokens.size());
    std::vector<float> bias(distinct.tokens.size());
    for (std::size_t i = 0; i < weight.size(); ++i)
      bias[static_cast<std::size_t>(distinct.place[i])] += weight[i];
    sink({2 * n_dense_layers(), distinct.tokens, engine_->sum_by_group(features, weight, distinct.place, n)});
    sink({2 * n_dense_layers() + 1, std::move(distinct.tokens), engine_->upload(bias)});
  }
  if (!wants_input) return {};
  for (float& w : weight) w *= scale_;
  return output_rows(terms.tokens).mul_(engine_->upload(weight).unsqueeze(1));
}

at::Tensor HeadTwist::row_gradient(const at::Tensor& features, const GradientTerms& terms,
                                   const GradientSink& sink, bool wants_input) const {
  constexpr std::int64_t tile = 4096;
  const at::Tensor on_score = engine_->upload(to_float(terms.on_score)).unsqueeze(1);
  const at::Tensor tokens = at::empty({static_cast<std::int64_t>(terms.tokens.size())}, at::kLong);
  std::ranges::copy(terms.tokens, tokens.mutable_data_ptr<std::int64_t>());
  const at::Tensor placed = tokens.to(features.device()).unsqueeze(1);
  std::vector<std::int64_t> all(static_cast<std::size_t>(vocab_size_));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  at::Tensor weight, bias, back;
  if (tied_ == nullptr) {
    weight = engine_->empty({vocab_size_, features.size(1)});
    bias = engine_->empty({vocab_size_});
  }
  for (std::int64_t begin = 0; begin < vocab_size_; begin += tile) {
    const std::int64_t end = std::min(vocab_size_, begin + tile);
    const at::Tensor columns = at::arange(begin, end, placed.options()).unsqueeze(0);
    const at::Tensor on = at::where(placed.eq(columns), on_score, 0.0f).add_(terms.on_row(begin, end));
    if (tied_ == nullptr) {
      weight.narrow(0, begin, end - begin).copy_(engine_->product_at_b(on, features));
      bias.narrow(0, begin, end - begin).copy_(engine_->column_sums(on));
    }
    if (!wants_input) continue;
    const auto rows =
        std::span(all).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    const at::Tensor part = engine_->product_at_b(on.t().contiguous(), output_rows(rows));
    back = back.defined() ? back.add_(part) : part;
  }
  if (tied_ == nullptr) {
    sink({2 * n_dense_layers(), all, weight});
    sink({2 * n_dense_layers() + 1, std::move(all), bias});
  }
  return back.defined() ? back.mul_(scale_) : back;
}

std::vector<double> HeadTwist::values(const at::Tensor& hidden) const {
  TWISTOR_ASSERT(has_value_, "a value is read from a twist that has one");
  at::Tensor out = engine_->empty({hidden.size(0), 1});
  engine_->project(value_input(*engine_, columns(hidden)), value_, out);
  const std::vector<float> values = device::to_host(out);
  return {values.begin(), values.end()};
}

void HeadTwist::value_gradient(const at::Tensor& input, std::span<const double> on_value,
                               const GradientSink& sink) const {
  const at::Tensor on = engine_->upload(to_float(on_value)).unsqueeze(1);
  sink({value_parameter(), {}, engine_->product_at_b(on, input)});
  sink({value_parameter() + 1, {}, engine_->column_sums(on)});
}

at::Tensor HeadTwist::dense_gradient(const at::Tensor& x, const std::vector<at::Tensor>& layers,
                                     at::Tensor back, const GradientSink& sink, bool wants_input) const {
  for (std::size_t layer = n_dense_layers(); layer-- > 0;) {
    if (has_relu(layer)) back.masked_fill_(layers[layer].le(0), 0);
    sink({2 * layer, {}, engine_->product_at_b(back, layer == 0 ? x : layers[layer - 1])});
    sink({2 * layer + 1, {}, engine_->column_sums(back)});
    if (layer == 0 && !wants_input) break;
    at::Tensor before = engine_->empty({back.size(0), width_});
    engine_->project(back, transposed_[layer], before);
    back = before;
  }
  return back;
}

at::Tensor HeadTwist::differentiate(const GradientTerms& terms, const GradientSink& sink,
                                    bool wants_hidden) const {
  TWISTOR_ASSERT(static_cast<std::int64_t>(terms.tokens.size()) == terms.hidden.size(0) &&
                     terms.tokens.size() == terms.on_score.size(),
                 "a gradient needs one token and one derivative for each row");
  const at::Tensor x = input(terms.hidden);
  const std::vector<at::Tensor> layers = dense_layers(x);
  const at::Tensor& features = layers.empty() ? x : layers.back();
  const bool wants_back = wants_hidden || !layers.empty();
  at::Tensor back = terms.on_row ? row_gradient(features, terms, sink, wants_back)
                                 : token_gradient(features, terms, sink, wants_back);
  back = dense_gradient(x, layers, std::move(back), sink, wants_hidden);
  if (wants_hidden && tied_ != nullptr) back = unit_rms_gradient(columns(terms.hidden), x, back);
  if (!has_value_) return back;
  const std::vector<double> none(terms.tokens.size());
  const auto on_value = terms.on_value.empty() ? std::span<const double>(none) : terms.on_value;
  const at::Tensor scaled = value_input(*engine_, columns(terms.hidden));
  value_gradient(scaled, on_value, sink);
  if (!wants_hidden) return back;
  const at::Tensor on_scaled =
      engine_->upload(to_float(on_value)).unsqueeze(1).mul(values_of(value_parameter()));
  return back.add_(unit_rms_gradient(columns(terms.hidden), scaled, on_scaled));
}

}  // namespace twistor::twist
