// SPDX-License-Identifier: Apache-2.0
// The engine of this processor's packed kernels.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>

#include <cmath>

#include "adam.hpp"
#include "attention.hpp"
#include "kv_store.hpp"
#include "texts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/engine.hpp"
#include "twistor/device/isa.hpp"
#include "twistor/device/row_kernels.hpp"

namespace twistor::device {
namespace {

class CpuEngine final : public Engine {
 public:
  std::string description() const override { return "cpu"; }
  at::Device device() const override { return at::kCPU; }
  bool keeps_bits() const override { return true; }
  const VocabularyKernels* vocabulary() const override { return nullptr; }
  std::int64_t rows_at_once() const override { return 1024; }

  /// Where products are float32's, codes are a sixth of the bytes and give the same bits. Without
  /// instructions for bfloat16 that is so in bfloat16 too, where two bytes a weight would only be slower.
  bool keeps_codes(Precision precision) const override {
    return precision == Precision::float32 || !multiplies_bfloat16();
  }
  std::size_t weight_bytes(std::int64_t n, std::int64_t k, PanelLayout layout) const override {
    return (PackedMatrix::bytes_needed(n, k, layout) + 63) / 64 * 64;
  }
  Weight make_weight(std::int64_t n, std::int64_t k, PanelLayout layout, std::byte* memory) const override {
    if (memory != nullptr) return {PackedMatrix(memory, n, k, layout), nullptr, {}};
    auto buffer = std::make_shared<PackedBuffer>(n, k, layout);
    const PackedMatrix matrix = buffer->matrix();
    return {matrix, std::move(buffer), {}};
  }
  void write_rows(Weight& weight, std::int64_t row_begin, std::span<const float> rows) const override {
    weight.packed.pack_rows(row_begin, rows);
  }
  void write_transposed(Weight& weight, std::span<const float> columns) const override {
    weight.packed.pack_transposed(columns);
  }
  at::Tensor read_rows(const Weight& weight, std::span<const std::int64_t> rows) const override {
    at::Tensor out = empty({static_cast<std::int64_t>(rows.size()), weight.k()});
    const auto n = static_cast<std::int64_t>(rows.size()), k = weight.k();
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < n; ++i)
      weight.packed.read_row(rows[static_cast<std::size_t>(i)],
                             {out.mutable_data_ptr<float>() + i * k, static_cast<std::size_t>(k)});
    return out;
  }
  Table make_table(std::int64_t, std::int64_t width, bool, Table::Reader read) const override {
    return {width, std::move(read), {}};
  }
  std::unique_ptr<KvStore> make_kv_store(const KvShape& shape) const override {
    return std::make_unique<CpuKvStore>(shape);
  }

  void look_up(const Table& table, std::span<const std::int64_t> rows, at::Tensor& out,
               bool accumulate) const override {
    const auto d = static_cast<std::size_t>(table.width);
    std::vector<float> row(accumulate ? d : 0);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::span<float> to(out.mutable_data_ptr<float>() + r * d, d);
      table.read(rows[r], accumulate ? std::span(row) : to);
      for (std::size_t i = 0; i < row.size(); ++i) to[i] += row[i];
    }
  }

  void normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const override {
    const std::int64_t n = x.size(0), d = x.size(1);
    const float* from = x.const_data_ptr<float>();
    float* to = out.mutable_data_ptr<float>();
    const float* weight = norm.weight.const_data_ptr<float>();
    const float* bias = norm.bias.defined() ? norm.bias.const_data_ptr<float>() : nullptr;
#pragma omp parallel for schedule(static) if (n * d > 50000)
    for (std::int64_t r = 0; r < n; ++r) {
      if (norm.kind == NormKind::layer_norm) {
        rows::layer_norm(from + r * d, weight, bias, norm.eps, d, to + r * d);
      } else {
        rows::rms_norm(from + r * d, weight, norm.eps, d, to + r * d);
      }
    }
  }

  void normalise_runs(const Norm& norm, at::Tensor& x, std::int64_t begin, std::int64_t end) const override {
    const std::int64_t n = x.size(0), d = norm.weight.size(0);
    const float* const weight = norm.weight.const_data_ptr<float>();
#pragma omp parallel for schedule(static) if (n * (end - begin) > 50000)
    for (std::int64_t r = 0; r < n; ++r) {
      float* const row = x.mutable_data_ptr<float>() + r * x.size(1);
      for (std::int64_t c = begin; c < end; c += d) rows::rms_norm(row + c, weight, norm.eps, d, row + c);
    }
  }

  void project(const at::Tensor& x, const Linear& w, at::Tensor& y, bool accumulate) const override {
    multiply_into(x, w, 0, w.weight.n(), y, accumulate);
  }
  void project_columns(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end,
                       at::Tensor& y) const override {
    multiply_into(x, w, v_begin, v_end, y, false);
  }

  void activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const override {
    const std::int64_t n = x.size(0), width = x.size(1), f = is_gated ? width / 2 : width;
    float* const from = x.mutable_data_ptr<float>();
    float* const to = is_gated ? out.mutable_data_ptr<float>() : nullptr;
#pragma omp parallel for schedule(static) if (n * f > 10000)
    for (std::int64_t r = 0; r < n; ++r) {
      float* row = from + r * width;
      activate_row(kind, row, f);
      if (is_gated) rows::times(row, row + f, f, to + r * f);
    }
    if (!is_gated) out = x;
  }

  void soft_cap(at::Tensor& x, std::int64_t width, float cap) const override {
    const std::int64_t n = x.size(0);
#pragma omp parallel for schedule(static) if (n * width > 10000)
    for (std::int64_t r = 0; r < n; ++r)
      rows::soft_cap(x.mutable_data_ptr<float>() + r * x.stride(0), width, cap);
  }

  void add(at::Tensor& x, const at::Tensor& y, float scale) const override {
    float* const to = x.mutable_data_ptr<float>();
    const float* const from = y.const_data_ptr<float>();
    for (std::int64_t i = 0; i < x.numel(); ++i) to[i] += scale * from[i];
  }

  at::Tensor unit_rms(const at::Tensor& x) const override {
    at::Tensor out = at::empty_like(x);
    const std::int64_t n = x.size(0), d = x.size(1);
#pragma omp parallel for schedule(static)
    for (std::int64_t r = 0; r < n; ++r) {
      const float* const from = x.const_data_ptr<float>() + r * d;
      float* const to = out.mutable_data_ptr<float>() + r * d;
      double sum = 0;
      for (std::int64_t i = 0; i < d; ++i) sum += static_cast<double>(from[i]) * static_cast<double>(from[i]);
      const float factor =
          sum == 0 ? 1.0f : static_cast<float>(1.0 / std::sqrt(sum / static_cast<double>(d)));
      for (std::int64_t i = 0; i < d; ++i) to[i] = factor * from[i];
    }
    return out;
  }

  std::unique_ptr<AttentionPass> begin_attention(const AttentionShape& shape,
                                                 const KvRows& rows) const override {
    return begin_cpu_attention(shape, rows);
  }
  std::unique_ptr<TextPass> begin_texts(std::span<const std::int64_t> begins) const override {
    return begin_cpu_texts(begins);
  }

  bool is_finite(const at::Tensor& x) const override {
    const float* const values = x.const_data_ptr<float>();
    bool all = true;
    for (std::int64_t i = 0; i < x.numel(); ++i) all &= std::isfinite(values[i]);
    return all;
  }

  at::Tensor product_at_b(const at::Tensor& a, const at::Tensor& b) const override {
    at::Tensor out = empty({a.size(1), b.size(1)});
    multiply_at_b(numbers_in(a), numbers_in(b), a.size(0), a.size(1), b.size(1),
                  {out.mutable_data_ptr<float>(), static_cast<std::size_t>(out.numel())});
    return out;
  }
  at::Tensor column_sums(const at::Tensor& x) const override {
    at::Tensor out = empty({x.size(1)}).zero_();
    float* const sums = out.mutable_data_ptr<float>();
    const float* row = x.const_data_ptr<float>();
    for (std::int64_t r = 0; r < x.size(0); ++r, row += x.size(1))
      for (std::int64_t c = 0; c < x.size(1); ++c) sums[c] += row[c];
    return out;
  }
  at::Tensor sum_by_group(const at::Tensor& x, std::span<const float> weight,
                          std::span<const std::int64_t> group_of, std::int64_t n_groups) const override {
    const std::int64_t d = x.size(1);
    at::Tensor out = empty({n_groups, d}).zero_();
    const float* row = x.const_data_ptr<float>();
    for (std::size_t i = 0; i < weight.size(); ++i, row += d) {
      float* const to = out.mutable_data_ptr<float>() + group_of[i] * d;
      for (std::int64_t c = 0; c < d; ++c) to[c] += weight[i] * row[c];
    }
    return out;
  }
  void adam(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
            const at::Tensor& gradient, const AdamTensors& parameter) const override {
    adam_in_main_memory(step, rows, gradient, parameter);
  }

 private:
  static void multiply_into(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end,
                            at::Tensor& y, bool accumulate) {
    multiply(x.const_data_ptr<float>(), x.stride(0), x.size(0), w.weight.packed, v_begin, v_end,
             y.mutable_data_ptr<float>(), y.stride(0),
             {w.bias.defined() ? w.bias.const_data_ptr<float>() : nullptr, accumulate});
  }

  static void activate_row(ActivationKind kind, float* x, std::int64_t n) {
    switch (kind) {
      case ActivationKind::gelu_tanh:
        return rows::gelu_tanh(x, n);
      case ActivationKind::gelu_erf:
        return rows::gelu_erf(x, n);
      case ActivationKind::silu:
        return rows::silu(x, n);
      case ActivationKind::relu:
        return rows::relu(x, n);
      case ActivationKind::tanh:
        return rows::tanh(x, n);
    }
  }
};

}  // namespace

std::shared_ptr<const Engine> cpu_engine() {
  static const auto engine = std::make_shared<const CpuEngine>();
  return engine;
}

at::Tensor Engine::empty(at::IntArrayRef sizes) const {
  return at::empty(sizes, at::TensorOptions().dtype(at::kFloat).device(device()));
}

at::Tensor Engine::upload(std::span<const float> values) const {
  return view_of(values, {static_cast<std::int64_t>(values.size())})
      .to(device(), at::kFloat, /*non_blocking=*/false, /*copy=*/true);
}

at::Tensor view_of(std::span<const float> values, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<float*>(values.data()), sizes, at::kFloat);
}

std::span<const float> numbers_in(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), static_cast<std::size_t>(x.numel())};
}

std::vector<float> to_host(const at::Tensor& x) {
  const at::Tensor host = x.to(at::kCPU).contiguous();
  const std::span<const float> numbers = numbers_in(host);
  return {numbers.begin(), numbers.end()};
}

}  // namespace twistor::device
