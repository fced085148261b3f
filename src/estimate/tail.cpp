// SPDX-License-Identifier: Apache-2.0
// The mean excess of the largest probabilities.
#include "twistor/estimate/tail.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "twistor/base/philox.hpp"

namespace twistor::estimate {
namespace {

double score_of(double p) {
  return -std::log(-std::log(std::min(p, std::nextafter(1.0, 0.0))));
}

}  // namespace

TailFit fit_tail(std::span<const double> probabilities, std::int64_t least_fitted) {
  std::vector<double> largest(probabilities.begin(), probabilities.end());
  std::ranges::sort(largest, std::ranges::greater());
  const auto N = static_cast<std::int64_t>(largest.size());
  const std::int64_t n_positive = std::ranges::count_if(largest, [](double p) { return p > 0; });
  TailFit fit{.n_prompts = N};
  const std::int64_t wanted = std::max(least_fitted, N / 10);
  if (n_positive <= wanted) return fit;
  fit.n_fitted = wanted;
  fit.threshold = score_of(largest[static_cast<std::size_t>(wanted)]);
  fit.mean_excess = 0;
  for (std::int64_t j = 0; j < wanted; ++j)
    fit.mean_excess +=
        (score_of(largest[static_cast<std::size_t>(j)]) - fit.threshold) / static_cast<double>(wanted);
  return fit;
}

double largest_among(const TailFit& fit, double n) {
  if (fit.n_fitted == 0) return nan;
  const double share = -std::expm1(-std::log(2.0) / n);
  const double share_above = static_cast<double>(fit.n_fitted) / static_cast<double>(fit.n_prompts);
  return std::exp(-std::exp(-(fit.threshold + fit.mean_excess * std::log(share_above / share))));
}

Forecast forecast_largest(std::span<const double> probabilities, double n, std::uint64_t seed,
                          std::int64_t n_lists) {
  Forecast out{.value = largest_among(fit_tail(probabilities), n)};
  if (std::isnan(out.value)) return out;
  std::vector<double> values;
  for (std::int64_t list = 0; list < n_lists; ++list) {
    Philox random(seed, Stream::bootstrap, 0, static_cast<std::uint64_t>(list));
    std::vector<double> drawn;
    for (std::size_t i = 0; i < probabilities.size(); ++i)
      drawn.push_back(probabilities[random.below(probabilities.size())]);
    // A list with too few positive ones has no line: it says that the largest may be anything below.
    const double value = largest_among(fit_tail(drawn), n);
    values.push_back(std::isnan(value) ? 0 : value);
  }
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  constexpr double tail = (1 - Forecast::level) / 2;
  out.range = {at(tail), at(1 - tail)};
  return out;
}

}  // namespace twistor::estimate
