// SPDX-License-Identifier: Apache-2.0
// The ratio of two language models with one output matrix.
#include "twistor/twist/ratio.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/twist/body.hpp"

namespace twistor::twist {
namespace {

constexpr std::string_view ratio_form_names[] = {"ratio"};

std::vector<float> float32_of(std::span<const double> values) {
  return {values.begin(), values.end()};
}

const device::Weight& checked_output_matrix(const TwistOptions& o) {
  const char* const doing = "making the twist";
  TWISTOR_CHECK(o.body != nullptr, ErrorKind::config, doing,
                "twist.form = ratio is a learned language model over the base model, and twist.body = base",
                "set twist.body = copy or lora");
  TWISTOR_CHECK(o.output_matrix != nullptr, ErrorKind::config, doing,
                "twist.form = ratio needs the language model's output embedding, and this model has none",
                "set twist.form = linear or mlp");
  TWISTOR_CHECK(!o.has_value && o.link == Link::identity, ErrorKind::config, doing,
                "twist.form = ratio has neither a value nor a link, which train.objective asks for",
                "set train.objective = ratio, or another twist.form");
  TWISTOR_CHECK(o.condition_width == 0, ErrorKind::config, doing,
                "twist.form = ratio is a language model, which sees no observation",
                "set twist.condition = none, or another twist.form");
  TWISTOR_ASSERT(o.base != nullptr && !o.prompt.empty(), "a ratio has p0, and texts that continue a prompt");
  return *o.output_matrix;
}

/// scores += logits - totals_q + totals_p, row by row; 0 where the base model never writes a token.
void divide_by_p0(at::Tensor& scores, const at::Tensor& base, const at::Tensor& totals, std::int64_t width) {
  const std::int64_t n = scores.size(0);
  if (!scores.device().is_cpu()) {
    const at::Tensor columns = scores.narrow(1, 0, width), p0 = base.narrow(1, 0, width);
    const at::Tensor ratio = columns.sub(p0).sub(totals.select(1, 1).sub(totals.select(1, 0)).unsqueeze(1));
    columns.copy_(at::where(p0.eq(-std::numeric_limits<float>::infinity()), 0.0F, ratio));
    return;
  }
  const std::int64_t stride = scores.stride(0), base_stride = base.stride(0),
                     totals_stride = totals.stride(0);
  float* const out = scores.mutable_data_ptr<float>();
  const float* const p0 = base.const_data_ptr<float>();
  const float* const total = totals.const_data_ptr<float>();
  parallel_for(n, n * width > 20000, [&](std::int64_t i) {
    const float shift = total[i * totals_stride + 1] - total[i * totals_stride];
    for (std::int64_t v = 0; v < width; ++v) {
      float& x = out[i * stride + v];
      const float y = p0[i * base_stride + v];
      x = y == -std::numeric_limits<float>::infinity() ? 0.0F : (x - y) - shift;
    }
  });
}

}  // namespace

std::span<const std::string_view> ratio_forms() {
  return ratio_form_names;
}

RatioTwist::RatioTwist(const TwistOptions& o)
    : base_((static_cast<void>(checked_output_matrix(o)), *o.base)),
      width_(o.width),
      first_column_(o.first_column),
      engine_(o.engine),
      output_(checked_output_matrix(o)),
      body_(o.body),
      prompt_(o.prompt) {
  for (model::LearnedTensor& tensor : body_->tensors())
    parameters_.push_back({std::string(body_prefix) + tensor.name, std::move(tensor.shape),
                           std::move(tensor.value), tensor.is_table});
  refresh();
}

std::string RatioTwist::form() const {
  return std::string(ratio_form_names[0]);
}

void RatioTwist::refresh() {
  std::vector<at::Tensor> values;
  for (const Parameter& p : parameters_) values.push_back(values_on(*engine_, p));
  body_->set_values(values);
}

at::Tensor RatioTwist::features(const at::Tensor& hidden) const {
  const at::Tensor base = hidden.narrow(1, 0, width_), body = body_columns(hidden);
  const std::vector<double> totals_p0 = model::log_totals(base_, base),
                            totals_q = model::log_totals(base_, body);
  std::vector<float> totals;
  for (std::size_t i = 0; i < totals_q.size(); ++i) {
    totals.push_back(static_cast<float>(totals_p0[i]));
    totals.push_back(static_cast<float>(totals_q[i]));
  }
  return at::cat({base, body, engine_->upload(totals).view({hidden.size(0), 2})}, 1);
}

void RatioTwist::log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
                         at::Tensor& out) const {
  const std::int64_t width = v_end - v_begin;
  at::Tensor base = engine_->empty({features.size(0), width});
  base_.logits(features.narrow(1, 0, width_), v_begin, v_end, base);
  base_.logits(features.narrow(1, width_, width_), v_begin, v_end, out);
  divide_by_p0(out, base, features.narrow(1, 2 * width_, 2), width);
}

/// With g the derivatives by log psi and G their sum over the vocabulary, those by the body's logits are
/// g - G q. Tile by tile, so that nothing of size (n, V) is made.
at::Tensor RatioTwist::on_hidden(const GradientTerms& terms) const {
  constexpr std::int64_t tile = 4096;
  const std::int64_t n = terms.hidden.size(0), v = vocab_size();
  const at::Tensor body = body_columns(terms.hidden);
  const at::Tensor totals = engine_->upload(float32_of(model::log_totals(base_, body))).unsqueeze(1),
                   on_score = engine_->upload(float32_of(terms.on_score)).unsqueeze(1);
  const at::Tensor tokens = at::empty({n}, at::kLong);
  std::ranges::copy(terms.tokens, tokens.mutable_data_ptr<std::int64_t>());
  const at::Tensor placed = tokens.to(body.device()).unsqueeze(1);
  at::Tensor seen, expected, sum;
  const auto add = [](const at::Tensor& part, at::Tensor& to) { to = to.defined() ? to.add_(part) : part; };
  for (std::int64_t begin = 0; begin < v; begin += tile) {
    const std::int64_t end = std::min(v, begin + tile);
    at::Tensor q = engine_->empty({n, end - begin});
    base_.logits(body, begin, end, q);
    const float cap = base_.logit_cap();
    const at::Tensor slope = cap == 0 ? at::Tensor{} : 1 - (q / cap).square();  // of cap tanh(x / cap)
    q.sub_(totals).exp_();
    at::Tensor on =
        at::where(placed.eq(at::arange(begin, end, placed.options()).unsqueeze(0)), on_score, 0.0F);
    if (terms.on_row) on.add_(terms.on_row(begin, end));
    add(engine_->column_sums(on.t().contiguous()).unsqueeze(1), sum);
    if (slope.defined()) {  // of tokens that are masked, too
      q.mul_(slope).nan_to_num_(0.0);
      on.mul_(slope).nan_to_num_(0.0);
    }
    std::vector<std::int64_t> index(static_cast<std::size_t>(end - begin));
    std::iota(index.begin(), index.end(), begin);
    const at::Tensor matrix = engine_->read_rows(output_, index);
    add(engine_->product_at_b(on.t().contiguous(), matrix), seen);
    add(engine_->product_at_b(q.t().contiguous(), matrix), expected);
  }
  return seen.sub_(expected.mul_(sum));
}

void RatioTwist::gradient(const GradientTerms& terms, const GradientSink& sink) const {
  TWISTOR_ASSERT(static_cast<std::int64_t>(terms.tokens.size()) == terms.hidden.size(0) &&
                     terms.tokens.size() == terms.on_score.size(),
                 "a gradient needs one token and one derivative for each row");
  body_->gradient({prompt_, terms.tokens, terms.length}, on_hidden(terms),
                  [&](std::size_t tensor, std::vector<std::int64_t> rows, at::Tensor values) {
                    sink({tensor, std::move(rows), std::move(values)});
                  });
}

}  // namespace twistor::twist
