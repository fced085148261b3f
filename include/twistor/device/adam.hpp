// SPDX-License-Identifier: Apache-2.0
// The numbers of one step of Adam (Kingma and Ba 2015), for kernels of every kind.
#pragma once

namespace twistor::device {

/// For each number of a parameter and its gradient g: m = beta1 m + one_minus_beta1 g, v = beta2 v +
/// one_minus_beta2 g^2, and value -= rate m / (sqrt(v) scale + epsilon). The corrections of a first step's
/// bias are in rate and scale.
struct AdamStep {
  float beta1 = 0, beta2 = 0, one_minus_beta1 = 1, one_minus_beta2 = 1;
  float rate = 0, scale = 1, epsilon = 0;
};

}  // namespace twistor::device
