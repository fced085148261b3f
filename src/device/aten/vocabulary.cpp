// SPDX-License-Identifier: Apache-2.0
// Rows of the vocabulary by ATen's operations: a fixed number of them, whatever the rows.
#include <ATen/ops/add.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>

#include "twistor/device/tensor_vocabulary.hpp"
#include "twistor/device/traffic.hpp"

namespace twistor::device {
namespace {

constexpr std::int64_t rows_together = 1024;  // bounds the memory of sums

/// The place in each row of `weights` (k, m) where its running sum first exceeds u (k), and what is left of u
/// inside it, as a fraction of its weight. A total that rounds below u leaves the last place with a weight.
struct Place {
  at::Tensor index, rest;  // (k)
};
Place find(const at::Tensor& weights, const at::Tensor& u) {
  const at::Tensor sums = at::cumsum(weights, 1), column = u.unsqueeze(1);
  const at::Tensor numbers = at::arange(weights.size(1), u.options().dtype(at::kLong));
  const at::Tensor last = at::where(weights.gt(0), numbers, 0).amax(1, /*keepdim=*/true);
  const at::Tensor index = at::minimum(at::searchsorted(sums, column, false, /*right=*/true), last);
  const at::Tensor weight = at::gather(weights, 1, index);
  const at::Tensor below = at::gather(sums, 1, index).sub_(weight);
  return {index.squeeze(1), column.sub(below).div_(weight).clamp_(0, 1).squeeze(1)};
}

at::Tensor sums_of(const at::Tensor& scores) {
  const at::Tensor blocks = scores.view({scores.size(0), -1, score_block});
  at::Tensor top = at::amax(blocks, 2, /*keepdim=*/true);
  top = at::where(top.eq(-std::numeric_limits<float>::infinity()), 0, top);
  const at::Tensor sums = blocks.sub(top).exp_().sum(2, /*keepdim=*/false, at::kDouble);
  return sums.log().add_(top.squeeze(2));
}

at::Tensor block_sums_of(const at::Tensor& a, const at::Tensor& b, double beta) {
  const std::int64_t n = a.size(0);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += rows_together) {
    const std::int64_t count = std::min(rows_together, n - begin);
    const at::Tensor part = a.narrow(0, begin, count);
    parts.push_back(sums_of(b.defined() ? at::add(part, b.narrow(0, begin, count), beta) : part));
  }
  if (parts.empty()) return at::empty({0, a.size(1) / score_block}, a.options().dtype(at::kDouble));
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

class AtenVocabulary final : public VocabularyKernels {
 public:
  ScoreSums sum(const ScoreRows& rows) const override {
    ScoreSums out;
    out.blocks = block_sums_of(rows.a, {}, 0);
    out.of_a = out.drawn = at::logsumexp(out.blocks, 1);
    if (!rows.b.defined() || !rows.draws_from_sum) return out;
    out.blocks = block_sums_of(rows.a, rows.b, rows.beta);
    out.drawn = at::logsumexp(out.blocks, 1);
    return out;
  }

  at::Tensor draw(const ScoreRows& rows, const at::Tensor& blocks, const at::Tensor& log_sums,
                  const ScoreDraws& draws) const override {
    at::Tensor tokens = tokens_of(rows, blocks, log_sums, draws);
    if (draws.forced.defined()) tokens = at::where(draws.forced.ge(0), draws.forced, tokens);
    const at::Tensor a = scores_at(rows.a, draws.row_of, tokens);
    return at::stack({tokens.to(at::kDouble), a,
                      rows.b.defined() ? scores_at(rows.b, draws.row_of, tokens) : at::zeros_like(a)});
  }

 private:
  static at::Tensor tokens_of(const ScoreRows& rows, const at::Tensor& blocks, const at::Tensor& log_sums,
                              const ScoreDraws& draws) {
    const at::Tensor sums = at::index_select(blocks, 0, draws.row_of),
                     log_sum = at::index_select(log_sums, 0, draws.row_of);
    const at::Tensor is_empty = log_sum.eq(-std::numeric_limits<double>::infinity());
    const at::Tensor total = at::where(is_empty, 0, log_sum).unsqueeze(1);
    const Place block = find(sums.sub(total).exp_(), draws.u);
    const at::Tensor at_block = draws.row_of.mul(blocks.size(1)).add_(block.index);
    const auto scores_of = [&](const at::Tensor& all) {
      return at::index_select(all.view({-1, score_block}), 0, at_block);
    };
    at::Tensor scores = scores_of(rows.a);
    if (rows.b.defined() && rows.draws_from_sum) scores = at::add(scores, scores_of(rows.b), rows.beta);
    const at::Tensor within = at::gather(sums, 1, block.index.unsqueeze(1));
    const Place token = find(scores.to(at::kDouble).sub_(within).exp_(), block.rest);
    return at::where(is_empty, 0, block.index.mul(score_block).add_(token.index));
  }
};

}  // namespace

at::Tensor make_scores(std::int64_t n, std::int64_t vocab_size, at::Device device) {
  const std::int64_t width = (vocab_size + score_block - 1) / score_block * score_block;
  at::Tensor scores = at::empty({n, width}, at::TensorOptions().dtype(at::kFloat).device(device));
  scores.narrow(1, vocab_size, width - vocab_size).fill_(-std::numeric_limits<float>::infinity());
  return scores;
}

const VocabularyKernels& aten_vocabulary() {
  static const AtenVocabulary kernels;
  return kernels;
}

at::Tensor scores_at(const at::Tensor& scores, const at::Tensor& row_of, const at::Tensor& tokens) {
  return at::index_select(scores.view({-1}), 0, row_of.mul(scores.size(1)).add_(tokens)).to(at::kDouble);
}

at::Tensor to_device(std::span<const std::int64_t> values, at::Device device) {
  count_up(static_cast<std::int64_t>(values.size_bytes()));
  return at::from_blob(const_cast<std::int64_t*>(values.data()), {static_cast<std::int64_t>(values.size())},
                       at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor to_device(std::span<const double> values, at::Device device) {
  count_up(static_cast<std::int64_t>(values.size_bytes()));
  return at::from_blob(const_cast<double*>(values.data()), {static_cast<std::int64_t>(values.size())},
                       at::kDouble)
      .to(device, at::kDouble, /*non_blocking=*/false, /*copy=*/true);
}

std::vector<double> numbers_of(const at::Tensor& x) {
  count_down(static_cast<std::int64_t>(x.nbytes()));
  const at::Tensor host = x.to(at::kCPU).contiguous();
  const double* const begin = host.const_data_ptr<double>();
  return {begin, begin + host.numel()};
}

}  // namespace twistor::device
