// SPDX-License-Identifier: Apache-2.0
// What all twists share.
#include "twistor/twist/twist.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "twistor/base/error.hpp"
#include "twistor/model/gather.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::twist {

at::Tensor log_psi_next(const Twist& twist, const at::Tensor& hidden) {
  at::Tensor out = at::empty({hidden.size(0), twist.vocab_size()}, hidden.options());
  twist.log_psi(twist.features(hidden), 0, twist.vocab_size(), out);
  return out;
}

std::vector<double> log_psi_at(const Twist& twist, const at::Tensor& features,
                               std::span<const std::int64_t> tokens) {
  return model::gather_scores([&](const at::Tensor& rows, std::int64_t a, std::int64_t b,
                                  at::Tensor& out) { twist.log_psi(rows, a, b, out); },
                              features, tokens, twist.vocab_size());
}

at::Tensor values_on(const device::Engine& engine, const Parameter& parameter) {
  return engine.keeps_tensors() ? parameter.value.on(engine.device()).view(parameter.shape)
                                : device::view_of(parameter.value, parameter.shape);
}

std::vector<double> Trainable::values(const at::Tensor&) const {
  throw Error(ErrorKind::internal, "reading values", "this twist has none");
}

void NoTwist::log_psi(const at::Tensor&, std::int64_t, std::int64_t, at::Tensor& out) const {
  out.zero_();
}

}  // namespace twistor::twist
