// SPDX-License-Identifier: Apache-2.0
// The loss, its gradient, and the minimiser.
#include "train_head/logistic.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::train_head {
namespace {

using Vector = std::vector<double>;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(Vector& a, double factor, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += factor * b[i];
}

double largest(const Vector& g) {
  double top = 0;
  for (const double value : g) top = std::max(top, std::abs(value));
  return top;
}

struct Pair {
  Vector s, y;  // steps and the changes of the gradient along them
  double rho = 0;
};

/// The two loops: minus the gradient times an approximation of the inverse Hessian.
Vector direction_of(const Vector& gradient, const std::deque<Pair>& pairs) {
  Vector q = gradient, alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].rho * dot(pairs[i].s, q);
    add_scaled(q, -alpha[i], pairs[i].y);
  }
  if (!pairs.empty()) {
    const double scale = 1 / (pairs.back().rho * dot(pairs.back().y, pairs.back().y));
    for (double& value : q) value *= scale;
  }
  for (std::size_t i = 0; i < pairs.size(); ++i)
    add_scaled(q, alpha[i] - pairs[i].rho * dot(pairs[i].y, q), pairs[i].s);
  for (double& value : q) value = -value;
  return q;
}

}  // namespace

Minimum minimise(const Objective& objective, std::vector<double> start, double tolerance,
                 std::int64_t max_iterations) {
  constexpr std::size_t n_pairs = 10;
  constexpr double sufficient = 1e-4, smallest_step = 1e-12;
  Minimum best{std::move(start), 0, 0, 0};
  Vector gradient(best.x.size()), next_gradient(best.x.size());
  best.value = objective(best.x, gradient);
  std::deque<Pair> pairs;
  for (; best.n_iterations < max_iterations && largest(gradient) > tolerance; ++best.n_iterations) {
    const Vector direction = direction_of(gradient, pairs);
    const double slope = dot(gradient, direction);
    double step = pairs.empty() ? std::min(1.0, 1.0 / std::sqrt(dot(gradient, gradient))) : 1.0;
    Vector next;
    double value = 0;
    do {
      next = best.x;
      add_scaled(next, step, direction);
      value = objective(next, next_gradient);
      if (value <= best.value + sufficient * step * slope) break;
      step /= 2;
    } while (step > smallest_step);
    if (step <= smallest_step) break;  // rounding: no lower value can be told apart
    Pair pair{next, next_gradient, 0};
    add_scaled(pair.s, -1, best.x);
    add_scaled(pair.y, -1, gradient);
    const double curvature = dot(pair.s, pair.y);
    if (curvature > 1e-12 * dot(pair.y, pair.y)) {
      pair.rho = 1 / curvature;
      pairs.push_back(std::move(pair));
      if (pairs.size() > n_pairs) pairs.pop_front();
    }
    best.x = std::move(next);
    best.value = value;
    gradient = next_gradient;
  }
  best.largest_gradient = largest(gradient);
  return best;
}

Objective loss_of(const Classification& data) {
  const std::size_t n = data.y.size(), C = static_cast<std::size_t>(data.n_classes);
  TWISTOR_ASSERT(n > 0 && data.x.size() % n == 0, "x must be (n, D)");
  const std::size_t D = data.x.size() / n;
  return [data, n, C, D](std::span<const double> parameters, std::span<double> gradient) {
    std::ranges::fill(gradient, 0.0);
    const auto bias = parameters.subspan(C * D);
    double loss = 0;
    Vector logits(C);
    for (std::size_t i = 0; i < n; ++i) {
      const auto x = data.x.subspan(i * D, D);
      for (std::size_t c = 0; c < C; ++c) {
        double sum = bias[c];
        for (std::size_t d = 0; d < D; ++d) sum += parameters[c * D + d] * static_cast<double>(x[d]);
        logits[c] = sum;
      }
      const auto label = static_cast<std::size_t>(data.y[i]);
      const double normaliser = log_sum_exp(logits);
      loss += normaliser - logits[label];
      for (std::size_t c = 0; c < C; ++c) {
        const double error =
            (std::exp(logits[c] - normaliser) - (c == label ? 1.0 : 0.0)) / static_cast<double>(n);
        for (std::size_t d = 0; d < D; ++d) gradient[c * D + d] += error * static_cast<double>(x[d]);
        gradient[C * D + c] += error;
      }
    }
    const auto weights = parameters.first(C * D);
    for (std::size_t i = 0; i < weights.size(); ++i) gradient[i] += data.l2 * weights[i];
    return loss / static_cast<double>(n) + 0.5 * data.l2 * dot(weights, weights);
  };
}

}  // namespace twistor::train_head
