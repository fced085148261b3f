// SPDX-License-Identifier: Apache-2.0
// Logistic regression with L2, in float64, by L-BFGS on all examples at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace twistor::train_head {

/// A smooth function: returns f(x) and writes its gradient.
using Objective = std::function<double(std::span<const double> x, std::span<double> gradient)>;

struct Minimum {
  std::vector<double> x;
  double value = 0;
  double largest_gradient = 0;  ///< of the components, absolute
  std::int64_t n_iterations = 0;
};

/// L-BFGS with ten pairs and backtracking (Nocedal and Wright, Numerical Optimization, 2006, Alg. 7.4 and
/// 3.1). Ends when no component of the gradient exceeds `tolerance`, or after max_iterations.
[[nodiscard]] Minimum minimise(const Objective& objective, std::vector<double> start, double tolerance,
                               std::int64_t max_iterations);

/// Softmax regression.
struct Classification {
  std::span<const float> x;         ///< (n, D)
  std::span<const std::int64_t> y;  ///< (n), below n_classes
  std::int64_t n_classes = 2;
  double l2 = 1e-4;
};

/// Mean cross-entropy of softmax(W x + b) + l2 / 2 |W|^2. Parameters: W (C, D), then b (C), which is not
/// penalised.
[[nodiscard]] Objective loss_of(const Classification& data);

}  // namespace twistor::train_head
