// SPDX-License-Identifier: Apache-2.0
// The numbers of a step, in float64 until they are whole.
#include "twistor/learn/adam.hpp"

#include <cmath>

namespace twistor::learn {

device::AdamStep adam_step(const AdamOptions& o, std::int64_t step) {
  const auto n = static_cast<double>(step);
  return {.beta1 = static_cast<float>(o.beta1),
          .beta2 = static_cast<float>(o.beta2),
          .one_minus_beta1 = static_cast<float>(1.0 - o.beta1),
          .one_minus_beta2 = static_cast<float>(1.0 - o.beta2),
          .rate = static_cast<float>(o.learning_rate / (1.0 - std::pow(o.beta1, n))),
          .scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, n))),
          .epsilon = static_cast<float>(o.epsilon)};
}

}  // namespace twistor::learn
