// SPDX-License-Identifier: Apache-2.0
// Rows of q, times what they count.
#include "twistor/smc/log_q_rows.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/device/kernels.hpp"

namespace twistor::smc {
namespace {

/// x = factor exp(x - log_sum), n values.
void weigh(float* x, std::int64_t n, double log_sum, double factor) {
  const auto shift = static_cast<float>(log_sum);
  device::kernels().exp_of(x, n, shift, x);
  const auto f = static_cast<float>(factor * std::exp(static_cast<double>(shift) - log_sum));
  for (std::int64_t i = 0; i < n; ++i) x[i] *= f;
}
void weigh(double* x, std::int64_t n, double log_sum, double factor) {
  for (std::int64_t i = 0; i < n; ++i) x[i] = factor * std::exp(x[i] - log_sum);
}

template <class Real>
void weigh_rows(at::Tensor& scores, std::span<const double> log_sum, std::span<const double> on_log_q) {
  const std::int64_t n = scores.size(0), width = scores.size(1);
  Real* const values = scores.mutable_data_ptr<Real>();
  parallel_for(n, n * width > 20000, [&](std::int64_t i) {
    const auto row = static_cast<std::size_t>(i);
    Real* const x = values + i * width;
    if (on_log_q[row] == 0 || log_sum[row] == log_zero) {
      std::fill_n(x, width, Real{0});
    } else {
      weigh(x, width, log_sum[row], -on_log_q[row]);
    }
  });
}

}  // namespace

LogQRows::LogQRows(const model::LanguageModel& lm, const twist::Twist& twist, const at::Tensor& hidden,
                   std::span<const double> on_log_q)
    : lm_(lm),
      twist_(twist),
      hidden_(hidden),
      on_log_q_(on_log_q),
      rows_(Proposal(lm, twist, ProposalKind::twisted).score(hidden)) {
  rows_.logits = rows_.log_psi = at::Tensor();  // whole rows, where there are some: tiles are asked for
}

at::Tensor LogQRows::tile(std::int64_t v_begin, std::int64_t v_end) const {
  at::Tensor scores = at::empty({hidden_.size(0), v_end - v_begin}, hidden_.options()),
             log_psi = at::empty_like(scores);
  lm_.logits(hidden_, v_begin, v_end, scores);
  twist_.log_psi(rows_.features, v_begin, v_end, log_psi);
  scores.add_(log_psi);
  if (!scores.device().is_cpu()) {
    const auto column = [&](std::span<const double> values) {
      return at::tensor(at::ArrayRef<double>(values.data(), values.size()), at::kDouble)
          .to(scores.options())
          .unsqueeze(1);
    };
    const at::Tensor log_sum = column(rows_.log_sum_q), factor = column(on_log_q_);
    const at::Tensor is_empty = factor.eq(0).logical_or_(log_sum.eq(log_zero));
    return scores.sub_(log_sum).exp_().mul_(factor).neg_().masked_fill_(is_empty, 0);
  }
  const auto weigh = scores.scalar_type() == at::kDouble ? &weigh_rows<double> : &weigh_rows<float>;
  weigh(scores, rows_.log_sum_q, on_log_q_);
  return scores;
}

}  // namespace twistor::smc
