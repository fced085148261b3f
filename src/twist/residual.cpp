// SPDX-License-Identifier: Apache-2.0
// The sum of a head's scores and a computed log psi.
#include "twistor/twist/residual.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "twistor/base/error.hpp"

namespace twistor::twist {
namespace {

/// The head reads what stands before the automaton's columns.
TwistOptions of_head(TwistOptions options) {
  TWISTOR_CHECK(
      options.link == Link::identity, ErrorKind::config, "making the twist",
      "twist.residual = true adds to log psi, and train.objective learns it through another function",
      "set train.objective = ctl, or twist.residual = false");
  options.first_column = 0;
  return options;
}

}  // namespace

ResidualTwist::ResidualTwist(std::string_view form, const TwistOptions& options)
    : head_(form, of_head(options)), computed_(options) {}

at::Tensor ResidualTwist::features(const at::Tensor& hidden) const {
  const at::Tensor of_head = head_.features(hidden);
  return at::cat({of_head, computed_.features(hidden).to(of_head.scalar_type())}, 1);
}

void ResidualTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                            at::Tensor& out) const {
  const std::int64_t width = v_end - v_begin, n_own = features.size(1) - 3;
  head_.log_psi(features.narrow(1, 0, n_own), v_begin, v_end, out);
  at::Tensor computed = at::empty({features.size(0), width}, out.options());
  computed_.log_psi(features.narrow(1, n_own, 3), v_begin, v_end, computed);
  out.narrow(1, 0, width).add_(computed);
}

}  // namespace twistor::twist
