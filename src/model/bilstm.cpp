// SPDX-License-Identifier: Apache-2.0
// The LSTM in both directions, all texts of a batch one step at a time.
#include "twistor/model/bilstm.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"

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

constexpr std::int64_t n_together = 128;  // texts in memory at a time
constexpr std::int64_t worth_threads = 16;

float sigmoid(float x) {
  return 1.0f / (1.0f + std::exp(-x));
}

}  // namespace

/// The ids of some texts, and of each its last `length`.
struct BiLstmClassifier::Words {
  std::vector<float> vectors;        // (1 + words, E): the padding's, then those of all words in order
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
                                   const std::string& doing)
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
  for (const std::size_t first : {std::size_t{forward_kernel}, std::size_t{backward_kernel}}) {
    require(first, {n_dims_, 4 * n_units_});
    require(first + 1, {n_units_, 4 * n_units_});
    require(first + 2, {4 * n_units_});
    Direction& direction = first == forward_kernel ? forward_ : backward_;
    direction.kernel = device::PackedBuffer(4 * n_units_, n_dims_, device::Precision::float32);
    direction.kernel.matrix().pack_transposed(arrays[first].values);
    direction.recurrent = device::PackedBuffer(4 * n_units_, n_units_, device::Precision::float32);
    direction.recurrent.matrix().pack_transposed(arrays[first + 1].values);
    direction.bias = std::move(arrays[first + 2].values);
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
  const auto n_rows = static_cast<std::int64_t>(words.vectors.size()) / n_dims_;
  std::vector<float> inputs(static_cast<std::size_t>(n_rows * 4 * H));
  device::multiply(words.vectors, n_rows, direction.kernel.matrix(), inputs, {direction.bias.data(), false});
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

std::vector<double> BiLstmClassifier::logits(std::span<const std::vector<std::int64_t>> texts) const {
  const auto H = static_cast<std::size_t>(n_units_), C = static_cast<std::size_t>(n_classes_);
  std::vector<double> result(texts.size() * C);
  for (std::size_t begin = 0; begin < texts.size(); begin += n_together) {
    const auto part = texts.subspan(begin, std::min<std::size_t>(n_together, texts.size() - begin));
    Words words;
    const auto add = [&](std::int64_t id) {
      TWISTOR_CHECK(id >= 0 && id < n_ids_, ErrorKind::usage, "classifying texts",
                    fmt::format("word {} is out of range (expected 0 to {})", id, n_ids_ - 1));
      const auto row = embedding_.values.begin() + id * n_dims_;
      words.vectors.insert(words.vectors.end(), row, row + n_dims_);
    };
    add(0);
    for (const auto& ids : part) {
      const auto count = std::min(static_cast<std::int64_t>(ids.size()), length_);
      words.begins.push_back(static_cast<std::int64_t>(words.vectors.size()) / n_dims_);
      words.counts.push_back(count);
      std::for_each(ids.end() - count, ids.end(), add);
    }
    std::vector<float> forward(part.size() * H), backward(part.size() * H), both(2 * H);
    run(forward_, false, words, forward);
    run(backward_, true, words, backward);
    for (std::size_t i = 0; i < part.size(); ++i) {
      std::copy_n(forward.begin() + static_cast<std::ptrdiff_t>(i * H), H, both.begin());
      std::copy_n(backward.begin() + static_cast<std::ptrdiff_t>(i * H), H,
                  both.begin() + static_cast<std::ptrdiff_t>(H));
      classify(both, std::span(result).subspan((begin + i) * C, C));
    }
  }
  return result;
}

}  // namespace twistor::model
