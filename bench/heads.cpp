// SPDX-License-Identifier: Apache-2.0
// Scoring rows over the vocabulary and drawing from them, without any (n, V) buffer, against the plain way:
// both heads' outputs whole, log-softmax of each, sum, cumulative sums and a search (G8).
//
// usage: bench_heads [MODEL [ROWS]]    MODEL: path, "tiny", "random-768", "default"; ROWS: 16,64,128
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <fmt/core.h>

#include "bench_tools.hpp"
#include "twistor/smc/proposal.hpp"

namespace {

using namespace twistor;

/// The same law with whole buffers, by LibTorch's kernels and one search a row.
std::vector<std::int64_t> unfused(const model::LanguageModel& lm, const twist::Twist& twist,
                                  const at::Tensor& hidden, std::span<const double> u) {
  const std::int64_t n = hidden.size(0), v = lm.vocab_size();
  at::Tensor logits = at::empty({n, v}, hidden.options()), log_psi = at::empty({n, v}, hidden.options());
  lm.logits(hidden, 0, v, logits);
  twist.log_psi(twist.features(hidden), 0, v, log_psi);
  const at::Tensor log_p0 = at::log_softmax(logits, 1);
  const at::Tensor log_q = at::log_softmax(log_p0 + log_psi, 1);
  const at::Tensor cumulative = at::cumsum(at::exp(log_q), 1);
  const at::Tensor quantile = at::tensor(at::ArrayRef<double>(u.data(), u.size())).to(at::kFloat);
  const at::Tensor drawn = at::searchsorted(cumulative, quantile.unsqueeze(1)).clamp_max(v - 1);
  const at::Tensor taken =
      at::stack({at::gather(log_p0, 1, drawn), at::gather(log_q, 1, drawn), at::gather(log_psi, 1, drawn)});
  (void)taken.sum().item<float>();
  return {drawn.const_data_ptr<std::int64_t>(), drawn.const_data_ptr<std::int64_t>() + n};
}

std::vector<std::int64_t> fused(const smc::Proposal& proposal, const at::Tensor& hidden,
                                std::span<const double> u) {
  std::vector<std::int64_t> row_of(u.size());
  for (std::size_t i = 0; i < row_of.size(); ++i) row_of[i] = static_cast<std::int64_t>(i);
  const std::vector<std::int64_t> free(u.size(), -1);
  return proposal.draw(proposal.score(hidden), hidden, row_of, u, free).tokens;
}

void measure(const model::LanguageModel& lm, const char* dtype, device::Precision precision, std::int64_t n) {
  const twist::HeadTwist twist(
      "mlp",
      {.width = lm.hidden_size(), .vocab_size = lm.vocab_size(), .precision = precision, .init_scale = 1.0});
  const smc::Proposal proposal(lm, twist, smc::ProposalKind::twisted);
  const auto cache = lm.make_cache(n);
  const at::Tensor hidden =
      lm.forward(bench::some_tokens(4 * n, lm.vocab_size()), *cache).select(1, 3).contiguous();
  std::vector<double> u(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < u.size(); ++i) u[i] = Philox(3, Stream::test, 0, i).uniform();
  std::vector<std::int64_t> a, b;
  // In turns, so that both meet the same disturbances.
  double plain_s = 1e9, ours_s = 1e9;
  for (int repeat = 0; repeat < 9; ++repeat) {
    plain_s = std::min(plain_s, seconds_of([&] { a = unfused(lm, twist, hidden, u); }));
    ours_s = std::min(ours_s, seconds_of([&] { b = fused(proposal, hidden, u); }));
  }
  std::int64_t n_equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) n_equal += a[i] == b[i];
  const double ratio = ours_s / plain_s;
  fmt::print("{:>6}{:>6}{:>13.2f}{:>11.2f}{:>8.2f}{:>10}{:>12} of {}\n", dtype, n, 1e3 * plain_s,
             1e3 * ours_s, ratio, bench::goal(ratio <= 0.85), n_equal, n);
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_main([&] {
    const std::string name = argc > 1 ? argv[1] : "default";
    std::vector<std::int64_t> rows{16, 64, 128};
    if (argc > 2) rows = bench::numbers(argv[2]);
    fmt::print("{:>6}{:>6}{:>13}{:>11}{:>8}{:>10}{:>12}\n", "dtype", "rows", "unfused ms", "ours ms", "ratio",
               "G8 0.85", "same token");
    for (const auto& [dtype, precision] :
         {std::pair{"f32", device::Precision::float32}, std::pair{"bf16", device::Precision::bfloat16}}) {
      model::LoadOptions options;
      options.precision = precision;
      const auto lm = model::load_language_model(bench::model_path(name), options);
      for (const std::int64_t n : rows) measure(*lm, dtype, precision, n);
    }
  });
}
