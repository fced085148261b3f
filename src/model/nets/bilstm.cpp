// SPDX-License-Identifier: Apache-2.0
// The LSTM in both directions, all texts of a batch one step at a time.
#include "twistor/model/bilstm.hpp"

#include <ATen/Context.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_cudnn_rnn_flatten_weight.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/lstm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::model {
namespace {

enum ArrayIndex {
  embedding,
  forward_kernel,
  backward_kernel = 4,
  dense = 7,
  dense_bias,
  output,
  output_bias,
  n_arrays
};

constexpr std::size_t n_together = 128, n_together_by_torch = 1024;  // texts in memory at a time
constexpr std::int64_t worth_threads = 16;

at::Tensor tensor_of(Array<float>& array, at::Device device) {
  return at::from_blob(array.values.data(), array.shape, at::kFloat)
      .to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

}  // namespace

/// The ids of some texts, and of each its last `length`.
struct BiLstmClassifier::Words {
  std::vector<std::int64_t> ids;     // (1 + words): the padding's, then those of all words in order
  std::vector<std::int64_t> begins;  // (n) row of a text's first word
  std::vector<std::int64_t> counts;  // (n) words
};

std::span<const std::string> BiLstmClassifier::array_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = {"layers/embedding/vars/0"};
    for (const char* direction : {"forward", "backward"})
      for (int i = 0; i < 3; ++i)
        all.push_back(fmt::format("layers/bidirectional/{}_layer/cell/vars/{}", direction, i));
    for (const char* layer : {"dense", "dense_1"})
      for (int i = 0; i < 2; ++i) all.push_back(fmt::format("layers/{}/vars/{}", layer, i));
    return all;
  }();
  return names;
}

BiLstmClassifier::BiLstmClassifier(std::vector<Array<float>> arrays, std::int64_t length,
                                   const std::string& doing,
                                   const std::shared_ptr<const device::Engine>& engine)
    : length_(length) {
  TWISTOR_ASSERT(arrays.size() == n_arrays && length > 0, "the arrays are those of array_names()");
  const auto require = [&](std::size_t i, const std::vector<std::int64_t>& shape) {
    TWISTOR_CHECK(arrays[i].shape == shape, ErrorKind::data, doing,
                  fmt::format("{} has the shape ({}) (expected ({}))", array_names()[i],
                              fmt::join(arrays[i].shape, ", "), fmt::join(shape, ", ")));
  };
  // Sizes come from the matrices at both ends of each layer; then every array must fit them.
  for (const std::size_t i :
       {std::size_t{embedding}, std::size_t{forward_kernel} + 1, std::size_t{dense}, std::size_t{output}})
    TWISTOR_CHECK(arrays[i].shape.size() == 2 && !arrays[i].values.empty(), ErrorKind::data, doing,
                  fmt::format("{} is no matrix", array_names()[i]));
  n_ids_ = arrays[embedding].shape[0];
  n_dims_ = arrays[embedding].shape[1];
  n_units_ = arrays[forward_kernel + 1].shape[0];
  n_hidden_ = arrays[dense].shape[1];
  n_classes_ = arrays[output].shape[1];
  const bool is_ours = engine == nullptr || (engine->device().is_cpu() && engine->keeps_bits());
  if (!is_ours) torch_.push_back(tensor_of(arrays[embedding], engine->device()));
  for (const std::size_t first : {std::size_t{forward_kernel}, std::size_t{backward_kernel}}) {
    require(first, {n_dims_, 4 * n_units_});
    require(first + 1, {n_units_, 4 * n_units_});
    require(first + 2, {4 * n_units_});
    if (!is_ours) {  // gates are in the same order; LibTorch has a second bias
      const at::Tensor bias = tensor_of(arrays[first + 2], engine->device());
      for (const std::size_t i : {first, first + 1})
        torch_.push_back(tensor_of(arrays[i], engine->device()).t().contiguous());
      torch_.insert(torch_.end(), {bias, at::zeros_like(bias)});
      continue;
    }
    Direction& direction = first == forward_kernel ? forward_ : backward_;
    direction.kernel = device::PackedBuffer(4 * n_units_, n_dims_, device::Precision::float32);
    direction.kernel.matrix().pack_transposed(arrays[first].values);
    direction.recurrent = device::PackedBuffer(4 * n_units_, n_units_, device::Precision::float32);
    direction.recurrent.matrix().pack_transposed(arrays[first + 1].values);
    direction.bias = std::move(arrays[first + 2].values);
  }
  if (!is_ours && engine->device().is_cuda() && at::globalContext().hasCuDNN()) {
    constexpr std::int64_t arrays_each = 4, lstm = 2;  // as cuDNN counts; it wants all in one piece
    (void)at::_cudnn_rnn_flatten_weight(at::TensorList(torch_).slice(1), arrays_each, n_dims_, lstm, n_units_,
                                        /*proj_size=*/0, /*num_layers=*/1, /*batch_first=*/true,
                                        /*bidirectional=*/true);
  }
  require(dense, {2 * n_units_, n_hidden_});
  require(dense_bias, {n_hidden_});
  require(output, {n_hidden_, n_classes_});
  require(output_bias, {n_classes_});
  embedding_ = std::move(arrays[embedding]);
  dense_ = std::move(arrays[dense]);
  dense_bias_ = std::move(arrays[dense_bias]);
  output_ = std::move(arrays[output]);
  output_bias_ = std::move(arrays[output_bias]);
}

/// pooled: (n, H), the maximum over time of the states.
void BiLstmClassifier::run(const Direction& direction, bool is_backward, const Words& words,
                           std::span<float> pooled) const {
  const std::int64_t H = n_units_;
  const auto n = static_cast<std::int64_t>(words.counts.size());
  const auto n_rows = static_cast<std::int64_t>(words.ids.size());
  std::vector<float> vectors, inputs(static_cast<std::size_t>(n_rows * 4 * H));
  for (const std::int64_t id : words.ids)
    vectors.insert(vectors.end(), embedding_.values.begin() + id * n_dims_,
                   embedding_.values.begin() + (id + 1) * n_dims_);
  device::multiply(vectors, n_rows, direction.kernel.matrix(), inputs, {direction.bias.data(), false});
  std::vector<float> gates(static_cast<std::size_t>(n * 4 * H));
  std::vector<float> state(static_cast<std::size_t>(n * H)), cell(state.size());
  std::fill(pooled.begin(), pooled.end(), -std::numeric_limits<float>::infinity());
  for (std::int64_t step = 0; step < length_; ++step) {
    const std::int64_t place = is_backward ? length_ - 1 - step : step;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const std::int64_t word = place - (length_ - words.counts[k]);
      const std::int64_t row = word < 0 ? 0 : words.begins[k] + word;
      std::copy_n(inputs.begin() + row * 4 * H, 4 * H, gates.begin() + i * 4 * H);
    }
    device::multiply(state, n, direction.recurrent.matrix(), gates, {nullptr, true});
    parallel_for(n, n >= worth_threads, [&](std::int64_t i) {
      const float* z = gates.data() + i * 4 * H;
      for (std::int64_t u = 0; u < H; ++u) {
        float& c = cell[static_cast<std::size_t>(i * H + u)];
        c = sigmoid(z[H + u]) * c + sigmoid(z[u]) * std::tanh(z[2 * H + u]);
        const float h = sigmoid(z[3 * H + u]) * std::tanh(c);
        state[static_cast<std::size_t>(i * H + u)] = h;
        float& highest = pooled[static_cast<std::size_t>(i * H + u)];
        highest = std::max(highest, h);
      }
    });
  }
}

/// The same of both directions, (n, 2H), by LibTorch: on a GPU that is cuDNN's.
std::vector<float> BiLstmClassifier::run_by_torch(const Words& words) const {
  const at::AutoDispatchBelowADInplaceOrView no_gradients;
  const auto n = static_cast<std::int64_t>(words.counts.size());
  std::vector<std::int64_t> padded;
  for (std::size_t i = 0; i < words.counts.size(); ++i) {
    padded.insert(padded.end(), static_cast<std::size_t>(length_ - words.counts[i]), 0);
    const auto first = words.ids.begin() + words.begins[i];
    padded.insert(padded.end(), first, first + words.counts[i]);
  }
  const at::Tensor& table = torch_.front();
  const at::Tensor inputs = at::index_select(table, 0, device::to_device(padded, table.device()))
                                .view({n, length_, n_dims_}),
                   start = at::zeros({2, n, n_units_}, table.options());
  const at::TensorList parameters = at::TensorList(torch_).slice(1);
  const at::Tensor states =
      std::get<0>(at::lstm(inputs, {start, start}, parameters, /*has_biases=*/true, /*num_layers=*/1,
                           /*dropout=*/0, /*train=*/false, /*bidirectional=*/true, /*batch_first=*/true));
  return device::to_host(states.amax(1));
}

/// One text: pooled (2H), forward then backward; logits (C).
void BiLstmClassifier::classify(std::span<const float> pooled, std::span<double> logits) const {
  const auto product = [](const Array<float>& w, const Array<float>& bias, const auto& x,
                          std::size_t column) {
    const auto n_columns = static_cast<std::size_t>(w.shape[1]);
    double sum = static_cast<double>(bias.values[column]);
    for (std::size_t k = 0; k < x.size(); ++k)
      sum += static_cast<double>(w.values[k * n_columns + column]) * static_cast<double>(x[k]);
    return sum;
  };
  std::vector<double> hidden(static_cast<std::size_t>(n_hidden_));
  for (std::size_t d = 0; d < hidden.size(); ++d)
    hidden[d] = std::max(0.0, product(dense_, dense_bias_, pooled, d));
  for (std::size_t c = 0; c < logits.size(); ++c) logits[c] = product(output_, output_bias_, hidden, c);
}

BiLstmClassifier::Words BiLstmClassifier::read(std::span<const std::vector<std::int64_t>> texts) const {
  Words words;
  const auto add = [&](std::int64_t id) {
    TWISTOR_CHECK(id >= 0 && id < n_ids_, ErrorKind::usage, "classifying texts",
                  fmt::format("word {} is out of range (expected 0 to {})", id, n_ids_ - 1));
    words.ids.push_back(id);
  };
  add(0);
  for (const auto& ids : texts) {
    const auto count = std::min(static_cast<std::int64_t>(ids.size()), length_);
    words.begins.push_back(static_cast<std::int64_t>(words.ids.size()));
    words.counts.push_back(count);
    std::for_each(ids.end() - count, ids.end(), add);
  }
  return words;
}

std::vector<double> BiLstmClassifier::logits(std::span<const std::vector<std::int64_t>> texts) const {
  const auto H = static_cast<std::size_t>(n_units_), C = static_cast<std::size_t>(n_classes_);
  const std::size_t at_once = torch_.empty() ? n_together : n_together_by_torch;
  std::vector<double> result(texts.size() * C);
  for (std::size_t begin = 0; begin < texts.size(); begin += at_once) {
    const auto part = texts.subspan(begin, std::min(at_once, texts.size() - begin));
    const Words words = read(part);
    std::vector<float> both;  // (texts, 2H)
    if (torch_.empty()) {
      std::vector<float> forward(part.size() * H), backward(part.size() * H);
      run(forward_, false, words, forward);
      run(backward_, true, words, backward);
      for (std::size_t i = 0; i < part.size(); ++i)
        for (const auto* direction : {&forward, &backward})
          both.insert(both.end(), direction->begin() + static_cast<std::ptrdiff_t>(i * H),
                      direction->begin() + static_cast<std::ptrdiff_t>((i + 1) * H));
    } else {
      both = run_by_torch(words);
    }
    for (std::size_t i = 0; i < part.size(); ++i)
      classify(std::span(both).subspan(2 * i * H, 2 * H), std::span(result).subspan((begin + i) * C, C));
  }
  return result;
}

}  // namespace twistor::model
