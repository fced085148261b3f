// SPDX-License-Identifier: Apache-2.0
// Log-sum-exp and draws over rows of scores.
#include "twistor/model/vocabulary.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::model {
namespace {

constexpr std::int64_t tile = 512;  // sums of one tile stay in float32 lanes, tiles are added in float64

void check_row(double top, double sum) {
  TWISTOR_CHECK(!std::isnan(sum) && top < std::numeric_limits<double>::infinity(), ErrorKind::data,
                "summing over the vocabulary", "a score is NaN or +inf",
                "the model's weights or the twist's parameters are not finite; lower train.learning_rate");
}

template <class Real>
void sum_blocks(std::span<const Real> scores, std::span<double> out) {
  constexpr auto width = static_cast<std::size_t>(vocabulary_block);
  for (std::size_t block = 0; block < out.size(); ++block)
    out[block] =
        row_log_sum_exp(scores.subspan(block * width, std::min(width, scores.size() - block * width)));
}

}  // namespace

double row_log_sum_exp(std::span<const float> scores) {
  const auto n = static_cast<std::int64_t>(scores.size());
  const device::Kernels& kernels = device::kernels();
  const float top = kernels.max_of(scores.data(), n);
  if (top == -std::numeric_limits<float>::infinity()) {
    // max() skips NaN, so a row of NaN looks empty; tell the two apart.
    for (const float v : scores) check_row(top, v == v ? 0.0 : static_cast<double>(v));
    return log_zero;
  }
  double sum = 0;
  bool has_nan = false;
  for (const float v : scores) has_nan |= v != v;
  for (std::int64_t i = 0; i < n; i += tile)
    sum += static_cast<double>(kernels.sum_exp(scores.data() + i, std::min(tile, n - i), top));
  check_row(top, has_nan ? std::numeric_limits<double>::quiet_NaN() : sum);
  return static_cast<double>(top) + std::log(sum);
}

double row_log_sum_exp(std::span<const double> scores) {
  return log_sum_exp(scores);
}

void block_log_sums(std::span<const float> scores, std::span<double> out) {
  sum_blocks(scores, out);
}

void block_log_sums(std::span<const double> scores, std::span<double> out) {
  sum_blocks(scores, out);
}

BlockDraw draw_block(std::span<const double> log_sums, double log_sum, double u) {
  return draw_block(TokenCdf(log_sums, log_sum), u);
}

BlockDraw draw_block(const TokenCdf& blocks, double u) {
  const std::int64_t block = blocks.draw(u);
  return {block, std::clamp((u - blocks.below(block)) / blocks.weight(block), 0.0, 1.0)};
}

TokenCdf::TokenCdf(std::span<const float> scores, double log_sum) {
  static_assert(longest_prepared_row == tile);
  TWISTOR_ASSERT(static_cast<std::int64_t>(scores.size()) <= tile, "a row is too long to be prepared");
  const auto shift = static_cast<float>(log_sum);  // as draw_token does it
  const double scale = std::exp(static_cast<double>(shift) - log_sum);
  std::array<float, static_cast<std::size_t>(tile)> weights;
  device::kernels().exp_of(scores.data(), static_cast<std::int64_t>(scores.size()), shift, weights.data());
  cumulative_.reserve(scores.size());
  weights_.reserve(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) add(static_cast<double>(weights[i]) * scale);
}

TokenCdf::TokenCdf(std::span<const double> scores, double log_sum) {
  cumulative_.reserve(scores.size());
  weights_.reserve(scores.size());
  for (const double score : scores) add(std::exp(score - log_sum));
}

void TokenCdf::add(double weight) {
  if (weight > 0) last_ = static_cast<std::int64_t>(cumulative_.size());
  cumulative_.push_back((cumulative_.empty() ? 0.0 : cumulative_.back()) + weight);
  weights_.push_back(weight);
}

std::int64_t TokenCdf::draw(double u) const {
  TWISTOR_ASSERT(last_ >= 0, "a token was drawn from an empty distribution");
  // The first sum above u was lifted there by its own weight. A total that rounds below u leaves the last
  // token.
  // Halved without a branch on u, which no processor can predict.
  const double* first = cumulative_.data();
  for (std::size_t n = cumulative_.size(); n > 1;) {
    const std::size_t half = n / 2;
    first += first[half - 1] <= u ? half : 0;
    n -= half;
  }
  return *first > u ? first - cumulative_.data() : last_;
}

std::int64_t draw_token(std::span<const float> scores, double log_sum, double u) {
  // exp(x - shift) * scale = exp(x - log_sum), with the shift rounded to float32 so that lanes can use it.
  const auto shift = static_cast<float>(log_sum);
  const double scale = std::exp(static_cast<double>(shift) - log_sum);
  const device::Kernels& kernels = device::kernels();
  const auto n = static_cast<std::int64_t>(scores.size());
  double below = 0;
  std::int64_t last = -1;
  for (std::int64_t begin = 0; begin < n; begin += tile) {
    const std::int64_t count = std::min(tile, n - begin);
    const double mass = static_cast<double>(kernels.sum_exp(scores.data() + begin, count, shift)) * scale;
    const bool is_inside = below + mass > u;
    if (mass > 0 && (is_inside || begin + tile >= n || last < 0)) {
      std::array<float, static_cast<std::size_t>(tile)> weights;
      kernels.exp_of(scores.data() + begin, count, shift, weights.data());
      double inner = below;
      for (std::int64_t i = begin; i < begin + count; ++i) {
        const double w = static_cast<double>(weights[static_cast<std::size_t>(i - begin)]) * scale;
        if (w > 0) last = i;
        inner += w;
        if (w > 0 && inner > u) return i;
      }
      if (is_inside) return last;  // the lanes' sum and this one differ in the last bits
    }
    below += mass;
  }
  TWISTOR_ASSERT(last >= 0, "a token was drawn from an empty distribution");
  return last;
}

std::int64_t draw_token(std::span<const double> scores, double log_sum, double u) {
  double below = 0;
  std::int64_t last = -1;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double w = std::exp(scores[i] - log_sum);
    if (w > 0) last = static_cast<std::int64_t>(i);
    below += w;
    if (w > 0 && below > u) return last;
  }
  TWISTOR_ASSERT(last >= 0, "a token was drawn from an empty distribution");
  return last;
}

}  // namespace twistor::model
