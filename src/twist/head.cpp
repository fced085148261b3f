// Head twists: forward through packed products, backward by hand.
#include "twistor/twist/head.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::twist {
namespace {

std::size_t product(const std::vector<std::int64_t>& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

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
void output_gradient(std::span<const float> features, std::int64_t width,
                     std::span<const std::int64_t> tokens, std::span<const double> weight,
                     HeadGradient& out) {
  out.rows.assign(tokens.begin(), tokens.end());
  std::sort(out.rows.begin(), out.rows.end());
  out.rows.erase(std::unique(out.rows.begin(), out.rows.end()), out.rows.end());
  out.row_values.assign(out.rows.size() * static_cast<std::size_t>(width + 1), 0.0f);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto slot = std::lower_bound(out.rows.begin(), out.rows.end(), tokens[i]) - out.rows.begin();
    float* row = out.row_values.data() + slot * (width + 1);
    const float* x = features.data() + static_cast<std::int64_t>(i) * width;
    const auto g = static_cast<float>(weight[i]);
    for (std::int64_t c = 0; c < width; ++c) row[c] += g * x[c];
    row[width] += g;
  }
}

}  // namespace

HeadTwist::HeadTwist(const std::string& form, std::int64_t width, std::int64_t vocab_size,
                     device::Precision precision, double init_scale, std::uint64_t seed)
    : form_(form), width_(width), vocab_size_(vocab_size) {
  TWISTOR_CHECK(form == "linear" || form == "mlp", ErrorKind::config, "making the twist",
                fmt::format("twist.form is \"{}\", expected linear or mlp", form));
  const std::uint32_t n_hidden = form == "mlp" ? 2 : 0;
  for (std::uint32_t i = 0; i < n_hidden; ++i) {
    parameters_.push_back(random_weight(fmt::format("hidden{}.weight", i), width, width, 1.0, seed, i));
    parameters_.push_back(zero_bias(fmt::format("hidden{}.bias", i), width));
    packed_.emplace_back(width, width, precision);
    transposed_.emplace_back(width, width, device::Precision::float32);
  }
  parameters_.push_back(random_weight("output.weight", vocab_size, width, init_scale, seed, n_hidden));
  parameters_.push_back(zero_bias("output.bias", vocab_size));
  packed_.emplace_back(vocab_size, width, precision);
  refresh();
}

void HeadTwist::refresh() {
  for (std::size_t i = 0; i < packed_.size(); ++i) {
    packed_[i].matrix().pack_rows(0, parameters_[2 * i].value);
    if (i < transposed_.size()) transposed_[i].matrix().pack_transposed(parameters_[2 * i].value);
  }
}

std::int64_t HeadTwist::n_dense() const {
  std::size_t n = 0;
  for (std::size_t i = 0; i < 2 * n_hidden_layers(); ++i) n += product(parameters_[i].shape);
  return static_cast<std::int64_t>(n);
}

std::vector<std::vector<float>> HeadTwist::hidden_layers(std::span<const float> x, std::int64_t n) const {
  std::vector<std::vector<float>> out;
  for (std::size_t i = 0; i < n_hidden_layers(); ++i) {
    out.emplace_back(static_cast<std::size_t>(n * width_));
    device::multiply(i == 0 ? x : std::span<const float>(out[i - 1]), n, packed_[i].matrix(), out[i],
                     {parameters_[2 * i + 1].value.data(), false});
    for (float& v : out[i]) v = std::max(v, 0.0f);
  }
  return out;
}

at::Tensor HeadTwist::features(const at::Tensor& hidden) const {
  const at::Tensor own = hidden.narrow(1, 0, width_);
  if (n_hidden_layers() == 0) return own;
  const at::Tensor x = own.contiguous();
  const auto layers =
      hidden_layers({x.const_data_ptr<float>(), static_cast<std::size_t>(x.numel())}, x.size(0));
  at::Tensor out = at::empty(x.sizes(), x.options());
  std::copy(layers.back().begin(), layers.back().end(), out.mutable_data_ptr<float>());
  return out;
}

void HeadTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                        at::Tensor& out) const {
  device::multiply(features.const_data_ptr<float>(), features.stride(0), features.size(0),
                   packed_.back().matrix(), v_begin, v_end, out.mutable_data_ptr<float>(), out.stride(0),
                   {parameters_.back().value.data(), false});
}

HeadGradient HeadTwist::gradient(const at::Tensor& hidden, std::span<const std::int64_t> tokens,
                                 std::span<const double> weight) const {
  const at::Tensor contiguous = hidden.narrow(1, 0, width_).contiguous();
  const std::int64_t n = contiguous.size(0), d = width_;
  TWISTOR_ASSERT(static_cast<std::int64_t>(tokens.size()) == n && tokens.size() == weight.size(),
                 "a gradient needs one token and one weight a row");
  const std::span<const float> x(contiguous.const_data_ptr<float>(),
                                 static_cast<std::size_t>(contiguous.numel()));
  const auto layers = hidden_layers(x, n);
  HeadGradient out;
  output_gradient(layers.empty() ? x : std::span<const float>(layers.back()), d, tokens, weight, out);
  if (layers.empty()) return out;

  out.dense.resize(static_cast<std::size_t>(n_dense()));
  // Gradient by the last hidden layer's output: one row of W_out a token.
  std::vector<float> back(static_cast<std::size_t>(n * d));
  const std::vector<float>& w_out = parameters_[parameters_.size() - 2].value;
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < n; ++i) {
    const auto g = static_cast<float>(weight[static_cast<std::size_t>(i)]);
    const float* row = w_out.data() + tokens[static_cast<std::size_t>(i)] * d;
    for (std::int64_t c = 0; c < d; ++c) back[static_cast<std::size_t>(i * d + c)] = g * row[c];
  }
  std::size_t end = out.dense.size();
  for (std::size_t layer = n_hidden_layers(); layer-- > 0;) {
    for (std::size_t i = 0; i < back.size(); ++i)
      if (layers[layer][i] <= 0.0f) back[i] = 0.0f;
    const std::size_t weights = product(parameters_[2 * layer].shape),
                      begin = end - weights - static_cast<std::size_t>(d);
    device::multiply_at_b(back, layer == 0 ? x : std::span<const float>(layers[layer - 1]), n, d, d,
                          std::span(out.dense).subspan(begin, weights));
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t c = 0; c < d; ++c)
        out.dense[begin + weights + static_cast<std::size_t>(c)] += back[static_cast<std::size_t>(i * d + c)];
    end = begin;
    if (layer == 0) break;
    std::vector<float> before(back.size());
    device::multiply(back, n, transposed_[layer].matrix(), before);
    back = std::move(before);
  }
  return out;
}

}  // namespace twistor::twist
