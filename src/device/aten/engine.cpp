// SPDX-License-Identifier: Apache-2.0
// The engine of ATen's own operations, on any device that ATen knows: no code of ours for it, and so the
// yardstick for code that is.
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_put.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>

#include "attention.hpp"
#include "engine.hpp"
#include "kv_store.hpp"
#include "texts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/aten_engine.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {
namespace {

at::ScalarType dtype_of(const PanelLayout& layout) {
  return layout.kind == PanelLayout::Kind::bfloat16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace

AtenEngine::AtenEngine(at::Device device, std::int64_t score_rows)
    : device_(device), score_rows_(score_rows), idle_(std::make_shared<IdleBlocks>()) {}

const VocabularyKernels* AtenEngine::vocabulary() const {
  return &aten_vocabulary();
}

Weight AtenEngine::make_weight(std::int64_t n, std::int64_t k, PanelLayout layout, std::byte*) const {
  Weight out;
  const std::int64_t rows = n < score_block ? n : (n + score_block - 1) / score_block * score_block;
  out.padded = at::zeros({rows, k}, at::TensorOptions().dtype(dtype_of(layout)).device(device_));
  out.dense = out.padded.narrow(0, 0, n);
  return out;
}
void AtenEngine::write_rows(Weight& weight, std::int64_t row_begin, std::span<const float> rows) const {
  const std::int64_t n = static_cast<std::int64_t>(rows.size()) / weight.k();
  weight.dense.narrow(0, row_begin, n).copy_(view_of(rows, {n, weight.k()}).to(weight.dense.scalar_type()));
}
void AtenEngine::write_transposed(Weight& weight, std::span<const float> columns) const {
  weight.dense.copy_(view_of(columns, {weight.k(), weight.n()}).t().to(weight.dense.scalar_type()));
}
at::Tensor AtenEngine::read_rows(const Weight& weight, std::span<const std::int64_t> rows) const {
  return at::index_select(weight.dense, 0, to_device(rows, device_)).to(at::kFloat);
}
Table AtenEngine::make_table(std::int64_t n, std::int64_t width, bool is_bfloat16, Table::Reader read) const {
  constexpr std::int64_t rows_together = 1024;
  const auto dtype = is_bfloat16 ? at::kBFloat16 : at::kFloat;
  Table table{width, nullptr, at::empty({n, width}, at::TensorOptions().dtype(dtype).device(device_))};
  std::vector<float> rows(static_cast<std::size_t>(std::min(n, rows_together) * width));
  for (std::int64_t begin = 0; begin < n; begin += rows_together) {
    const std::int64_t count = std::min(rows_together, n - begin);
    for (std::int64_t r = 0; r < count; ++r)
      read(begin + r,
           std::span(rows).subspan(static_cast<std::size_t>(r * width), static_cast<std::size_t>(width)));
    table.rows.narrow(0, begin, count).copy_(view_of(rows, {count, width}).to(dtype));
  }
  return table;
}
std::unique_ptr<KvStore> AtenEngine::make_kv_store(const KvShape& shape) const {
  return std::make_unique<AtenKvStore>(shape, device_, idle_);
}

void AtenEngine::look_up(const Table& table, std::span<const std::int64_t> rows, at::Tensor& out,
                         bool accumulate) const {
  const at::Tensor found = at::index_select(table.rows, 0, to_device(rows, device_));
  if (accumulate) {
    out.add_(found);
  } else {
    out = found.to(at::kFloat);
  }
}

void AtenEngine::normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const {
  const std::int64_t d = x.size(1);
  if (norm.kind == NormKind::layer_norm) {
    out = std::get<0>(at::native_layer_norm(x, {d}, norm.weight, norm.bias, norm.eps));
  } else {
    out = at::rms_norm(x, {d}, norm.weight, norm.eps);
  }
}

void AtenEngine::normalise_runs(const Norm& norm, at::Tensor& x, std::int64_t begin, std::int64_t end) const {
  const std::int64_t d = norm.weight.size(0);
  const at::Tensor runs = x.narrow(1, begin, end - begin).unflatten(1, {-1, d});
  runs.copy_(at::rms_norm(runs, {d}, norm.weight, norm.eps));
}

void AtenEngine::project(const at::Tensor& x, const Linear& w, at::Tensor& y, bool accumulate) const {
  multiply_into(x, w.weight.dense, w.bias, y, accumulate);
}
void AtenEngine::project_columns(const at::Tensor& x, const Linear& w, std::int64_t v_begin,
                                 std::int64_t v_end, at::Tensor& y) const {
  const std::int64_t width = v_end - v_begin, all = w.weight.padded.size(0);
  if (v_begin == 0 && v_end == w.weight.n() && y.size(1) == all) {  // products of an odd width are slow
    at::Tensor beyond = y.narrow(1, width, all - width);
    const at::Tensor kept = beyond.clone();
    multiply_into(x, w.weight.padded, {}, y, false);
    beyond.copy_(kept);
    if (w.bias.defined()) y.narrow(1, 0, width).add_(w.bias);
    return;
  }
  at::Tensor columns = y.size(1) == width ? y : y.narrow(1, 0, width);
  multiply_into(x, w.weight.dense.narrow(0, v_begin, width),
                w.bias.defined() ? w.bias.narrow(0, v_begin, width) : w.bias, columns, false);
}

at::Tensor activated(ActivationKind kind, const at::Tensor& x) {
  switch (kind) {
    case ActivationKind::gelu_tanh:
      return at::gelu(x, "tanh");
    case ActivationKind::gelu_erf:
      return at::gelu(x, "none");
    case ActivationKind::relu:
      return at::relu(x);
    case ActivationKind::tanh:
      return at::tanh(x);
    case ActivationKind::silu:
      break;
  }
  return at::silu(x);
}

void AtenEngine::activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const {
  const std::int64_t f = is_gated ? x.size(1) / 2 : x.size(1);
  out = activated(kind, x.narrow(1, 0, f));
  if (is_gated) out.mul_(x.narrow(1, f, f));
}

void AtenEngine::soft_cap(at::Tensor& x, std::int64_t width, float cap) const {
  x.narrow(1, 0, width).div_(cap).tanh_().mul_(cap);
}

void AtenEngine::add(at::Tensor& x, const at::Tensor& y, float scale) const {
  x.add_(y, scale);
}

at::Tensor AtenEngine::unit_rms(const at::Tensor& x) const {
  const at::Tensor rms = x.to(at::kDouble).square_().mean(1, /*keepdim=*/true).sqrt_();
  return x.div(at::where(rms.eq(0), 1, rms).to(at::kFloat));
}

std::unique_ptr<AttentionPass> AtenEngine::begin_attention(const AttentionShape& shape,
                                                           const KvRows& rows) const {
  return begin_aten_attention(shape, rows, device_);
}

std::unique_ptr<TextPass> AtenEngine::begin_texts(std::span<const std::int64_t> begins) const {
  return begin_aten_texts(begins, device_);
}

bool AtenEngine::is_finite(const at::Tensor& x) const {
  return !device_.is_cpu() || x.isfinite().all().item<bool>();
}

at::Tensor AtenEngine::product_at_b(const at::Tensor& a, const at::Tensor& b) const {
  return at::mm(a.t(), b);
}
at::Tensor AtenEngine::column_sums(const at::Tensor& x) const {
  return x.sum(0);
}
at::Tensor AtenEngine::sum_by_group(const at::Tensor& x, std::span<const float> weight,
                                    std::span<const std::int64_t> group_of, std::int64_t n_groups) const {
  at::Tensor out = empty({n_groups, x.size(1)}).zero_();
  const at::Tensor index = to_device(group_of, device_);
  // With accumulate this is a sort and sums in order, not atomic additions.
  return at::index_put_(out, {index}, x.mul(upload(weight).unsqueeze(1)), /*accumulate=*/true);
}

void AtenEngine::adam(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
                      const at::Tensor& gradient, const AdamTensors& parameter) const {
  const auto& [value, m, v] = parameter;
  const at::Tensor whole =
      rows ? at::zeros_like(value).index_copy_(0, to_device(*rows, device_), gradient) : gradient;
  m.mul_(step.beta1).add_(whole, step.one_minus_beta1);
  v.mul_(step.beta2).add_(whole.square(), step.one_minus_beta2);
  value.addcdiv_(m, v.sqrt().mul_(step.scale).add_(step.epsilon), -step.rate);
}

/// Products of bfloat16 have float32 results. ATen's CPU kernels have no such product; there both are
/// widened.
void AtenEngine::multiply_into(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias,
                               at::Tensor& y, bool accumulate) const {
  if (w.scalar_type() == at::kFloat) {
    if (accumulate) {
      y.addmm_(x.to(at::kFloat), w.t());
      if (bias.defined()) y.add_(bias);
    } else if (bias.defined()) {
      at::addmm_out(y, bias, x.to(at::kFloat), w.t());
    } else {
      at::mm_out(y, x.to(at::kFloat), w.t());
    }
    return;
  }
  const at::Tensor rounded = x.to(at::kBFloat16);
  if (device_.is_cpu()) {
    const at::Tensor product = at::mm(rounded.to(at::kFloat), w.to(at::kFloat).t());
    if (accumulate)
      y.add_(product);
    else
      y.copy_(product);
  } else if (accumulate) {
    at::addmm_out(y, y, rounded, w.t(), at::kFloat);
  } else {
    at::mm_out(y, rounded, w.t(), at::kFloat);
  }
  if (bias.defined()) y.add_(bias);
}

std::shared_ptr<const Engine> make_aten_engine(at::Device device, const EngineOptions& options) {
  return std::make_shared<const AtenEngine>(device, options.score_rows);
}

}  // namespace twistor::device
