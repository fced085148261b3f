// SPDX-License-Identifier: Apache-2.0
// Temperature, top-k and top-p.
#include "truncation.hpp"

#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>
#include <vector>

#include "twistor/base/parallel.hpp"

namespace twistor::smc {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

template <class T>
double lowest_of(std::span<const T> scores, const Truncation& truncation) {
  std::vector<T> left;  // what is drawn so far; its order does not matter
  for (const T score : scores)
    if (score > minus_infinity) left.push_back(score);
  double lowest = minus_infinity;
  const auto k = static_cast<std::size_t>(truncation.top_k);
  if (k > 0 && k < left.size()) {
    std::ranges::nth_element(left, left.begin() + static_cast<std::ptrdiff_t>(k) - 1, std::greater());
    const T least = left[k - 1];
    std::erase_if(left, [&](T score) { return score < least; });
    lowest = static_cast<double>(least);
  }
  if (truncation.top_p >= 1 || left.empty()) return lowest;
  // A sum in the order of values has the same bits wherever ties stood. Few tokens hold the mass of most
  // rows, so only as many are sorted as it takes.
  const auto weight = [top = *std::ranges::max_element(left)](T score) {
    return std::exp(static_cast<double>(score - top));
  };
  double total = 0;
  for (const T score : left) total += weight(score);
  double held = 0;
  std::size_t n_sorted = 0;
  for (std::size_t n = 64; n_sorted < left.size(); n *= 8) {
    const std::size_t end = std::min(n, left.size());
    std::partial_sort(left.begin() + static_cast<std::ptrdiff_t>(n_sorted),
                      left.begin() + static_cast<std::ptrdiff_t>(end), left.end(), std::greater());
    for (; n_sorted < end; ++n_sorted) {
      held += weight(left[n_sorted]);
      if (held >= truncation.top_p * total) return static_cast<double>(left[n_sorted]);
    }
  }
  return lowest;
}

template <class T>
void fill(const at::Tensor& scores, const Truncation& truncation, double* out) {
  const std::int64_t n = scores.size(0), width = scores.size(1);
  parallel_for(n, n > 1, [&](std::int64_t r) {
    T* const row = scores.mutable_data_ptr<T>() + r * scores.stride(0);
    for (std::int64_t v = 0; v < width; ++v) row[v] = tempered(row[v], truncation);
    out[r] = lowest_of(std::span<const T>(row, static_cast<std::size_t>(width)), truncation);
  });
}

}  // namespace

double lowest_kept(std::span<const float> scores, const Truncation& truncation) {
  return lowest_of(scores, truncation);
}
double lowest_kept(std::span<const double> scores, const Truncation& truncation) {
  return lowest_of(scores, truncation);
}

at::Tensor lowest_kept_of(const model::LanguageModel& policy, const at::Tensor& hidden,
                          const Truncation& truncation) {
  const std::int64_t n = hidden.size(0), v = policy.vocab_size();
  at::Tensor out = at::empty({n, 1}, at::kDouble);
  double* const lowest = out.mutable_data_ptr<double>();
  if (!truncation.cuts()) {
    std::fill_n(lowest, n, minus_infinity);
    return out;
  }
  const std::int64_t n_together = std::clamp<std::int64_t>((1 << 24) / v, 1, 256);  // bounds the memory
  for (std::int64_t begin = 0; begin < n; begin += n_together) {
    const at::Tensor some = hidden.slice(0, begin, std::min(n, begin + n_together));
    at::Tensor logits = at::empty({some.size(0), v}, hidden.options());
    policy.logits(some, 0, v, logits);
    (logits.scalar_type() == at::kDouble ? &fill<double> : &fill<float>)(logits, truncation, lowest + begin);
  }
  return out;
}

at::Tensor truncated(const at::Tensor& logits, const Truncation& truncation) {
  at::Tensor scores = logits.div(truncation.temperature);
  const auto keep = [&](const at::Tensor& lowest) {
    scores = at::where(scores.ge(lowest), scores, minus_infinity);
  };
  if (truncation.top_k > 0 && truncation.top_k < scores.size(1))
    keep(std::get<0>(at::topk(scores, truncation.top_k, 1)).narrow(1, truncation.top_k - 1, 1));
  if (truncation.top_p >= 1) return scores;
  const at::Tensor sorted = std::get<0>(at::sort(scores, 1, /*descending=*/true));
  const at::Tensor share = at::softmax(sorted, 1, at::kDouble);
  const at::Tensor n_kept = at::cumsum(share, 1).sub_(share).lt(truncation.top_p).sum(1, /*keepdim=*/true);
  keep(at::gather(sorted, 1, n_kept.sub(1)));
  return scores;
}

}  // namespace twistor::smc
