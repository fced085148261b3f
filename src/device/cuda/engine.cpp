// SPDX-License-Identifier: Apache-2.0
// Which tensors the kernels of rows and of the vocabulary get.
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/full.h>

#include <utility>

#include "aten/engine.hpp"
#include "pass.hpp"
#include "products.hpp"
#include "twistor/device/kernel_engine.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {
namespace {

class KernelVocabulary final : public VocabularyKernels {
 public:
  explicit KernelVocabulary(const cuda::Launchers& launchers) : launchers_(launchers) {}

  ScoreSums sum(const ScoreRows& rows) const override {
    const std::int64_t n = rows.a.size(0), blocks = rows.a.size(1) / score_block;
    const at::Device device = rows.a.device();
    const bool has_sum = rows.b.defined() && rows.draws_from_sum;
    at::Tensor of_a = cuda::numbers({n, blocks}, at::kDouble, device),
               of_scores = has_sum ? cuda::numbers({n, blocks}, at::kDouble, device) : of_a;
    launchers_.block_sums({.a = rows.a.const_data_ptr<float>(),
                           .b = has_sum ? rows.b.const_data_ptr<float>() : nullptr,
                           .beta = static_cast<float>(rows.beta),
                           .n = n,
                           .blocks = static_cast<int>(blocks),
                           .of_a = of_a.mutable_data_ptr<double>(),
                           .of_scores = has_sum ? of_scores.mutable_data_ptr<double>() : nullptr});
    ScoreSums out{of_scores, row_sums(of_a), {}};
    out.drawn = has_sum ? row_sums(of_scores) : out.of_a;
    cuda::check(launchers_);
    return out;
  }

  at::Tensor draw(const ScoreRows& rows, const at::Tensor& blocks, const at::Tensor& log_sums,
                  const ScoreDraws& draws) const override {
    const std::int64_t k = draws.row_of.size(0);
    at::Tensor out = cuda::numbers({3, k}, at::kDouble, rows.a.device());
    launchers_.draw({.a = rows.a.const_data_ptr<float>(),
                     .b = cuda::optional<float>(rows.b),
                     .beta = static_cast<float>(rows.beta),
                     .draws_from_sum = rows.b.defined() && rows.draws_from_sum,
                     .sums = blocks.const_data_ptr<double>(),
                     .log_sums = log_sums.const_data_ptr<double>(),
                     .blocks = static_cast<int>(blocks.size(1)),
                     .row_of = draws.row_of.const_data_ptr<std::int64_t>(),
                     .u = draws.u.const_data_ptr<double>(),
                     .forced = cuda::optional<std::int64_t>(draws.forced),
                     .k = k,
                     .out = out.mutable_data_ptr<double>()});
    cuda::check(launchers_);
    return out;
  }

 private:
  [[nodiscard]] at::Tensor row_sums(const at::Tensor& x) const {
    at::Tensor out = cuda::numbers({x.size(0)}, at::kDouble, x.device());
    launchers_.row_sums({.x = x.const_data_ptr<double>(),
                         .n = x.size(0),
                         .width = static_cast<int>(x.size(1)),
                         .out = out.mutable_data_ptr<double>()});
    return out;
  }

  const cuda::Launchers& launchers_;
};

class KernelEngine final : public AtenEngine {
 public:
  KernelEngine(at::Device device, const EngineOptions& options, const cuda::Launchers& launchers)
      : AtenEngine(device, options.score_rows),
        options_(options),
        launchers_(launchers),
        vocabulary_(launchers),
        products_(launchers, device, options.deterministic) {}

  std::string description() const override {
    return device().is_cpu() ? "own kernels, emulated" : "own kernels on " + device().str();
  }
  bool keeps_bits() const override { return options_.deterministic; }
  const VocabularyKernels* vocabulary() const override { return &vocabulary_; }
  std::shared_ptr<const Engine> for_precision(Precision precision) const override {
    if (precision == options_.precision) return shared_from_this();
    EngineOptions options = options_;
    options.precision = precision;
    return std::make_shared<const KernelEngine>(device(), options, launchers_);
  }

  void normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const override {
    fit(out, x.sizes(), norm.feeds_product ? operands() : at::kFloat);
    launchers_.norm({.x = x.const_data_ptr<float>(),
                     .weight = norm.weight.const_data_ptr<float>(),
                     .bias = cuda::optional<float>(norm.bias),
                     .eps = norm.eps,
                     .n = x.size(0),
                     .stride = x.size(1),
                     .d = static_cast<int>(x.size(1)),
                     .out = cuda::output(out)});
    cuda::check(launchers_);
  }

  void normalise_runs(const Norm& norm, at::Tensor& x, std::int64_t begin, std::int64_t end) const override {
    const std::int64_t d = norm.weight.size(0);
    float* const first = x.mutable_data_ptr<float>() + begin;
    launchers_.norm({.x = first,
                     .weight = norm.weight.const_data_ptr<float>(),
                     .eps = norm.eps,
                     .n = x.size(0),
                     .stride = x.size(1),
                     .runs = static_cast<int>((end - begin) / d),
                     .d = static_cast<int>(d),
                     .out = {first, false}});
    cuda::check(launchers_);
  }

  void activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const override {
    const std::int64_t n = x.size(0), f = is_gated ? x.size(1) / 2 : x.size(1);
    fit(out, {n, f}, operands());
    launchers_.activate({.x = x.const_data_ptr<float>(),
                         .n = n,
                         .f = f,
                         .kind = static_cast<int>(kind),
                         .is_gated = is_gated,
                         .out = cuda::output(out)});
    cuda::check(launchers_);
  }

  void add(at::Tensor& x, const at::Tensor& y, float scale) const override {
    launchers_.add({x.mutable_data_ptr<float>(), y.const_data_ptr<float>(), scale, x.numel()});
    cuda::check(launchers_);
  }

  void adam(const AdamStep& step, std::optional<std::span<const std::int64_t>> rows,
            const at::Tensor& gradient, const AdamTensors& parameter) const override {
    const auto& [value, m, v] = parameter;
    const std::int64_t width = rows ? value.size(1) : 1;
    at::Tensor place;
    if (rows) {
      const at::Tensor index = to_device(*rows, device());
      place = at::full({value.size(0)}, -1, index.options());
      place.index_copy_(0, index, at::arange(index.size(0), index.options()));
    }
    launchers_.adam({.step = step,
                     .value = value.mutable_data_ptr<float>(),
                     .m = m.mutable_data_ptr<float>(),
                     .v = v.mutable_data_ptr<float>(),
                     .gradient = gradient.const_data_ptr<float>(),
                     .place = cuda::optional<std::int64_t>(place),
                     .n = value.numel(),
                     .width = width});
    cuda::check(launchers_);
  }

  void project(const at::Tensor& x, const Linear& w, at::Tensor& y, bool accumulate) const override {
    if (!multiply(x, w, 0, w.weight.n(), y, accumulate)) AtenEngine::project(x, w, y, accumulate);
  }
  void project_columns(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end,
                       at::Tensor& y) const override {
    const std::int64_t n = w.weight.n(), all = w.weight.padded.size(0);
    if (n < all && v_begin == 0 && v_end == n && y.size(1) == all) {  // products of an odd width are slow
      const Linear padded{{{}, nullptr, w.weight.padded, {}},
                          w.bias.defined() ? at::constant_pad_nd(w.bias, {0, all - n}) : w.bias};
      at::Tensor beyond = y.narrow(1, n, all - n);
      const at::Tensor kept = beyond.clone();
      if (multiply(x, padded, 0, all, y, false)) {
        beyond.copy_(kept);
        return;
      }
    }
    if (!multiply(x, w, v_begin, v_end, y, false)) AtenEngine::project_columns(x, w, v_begin, v_end, y);
  }

  std::unique_ptr<AttentionPass> begin_attention(const AttentionShape& shape,
                                                 const KvRows& rows) const override {
    auto own = cuda::begin_kernel_attention({shape, operands(), device(), launchers_}, rows);
    return own != nullptr ? std::move(own) : AtenEngine::begin_attention(shape, rows);
  }
  std::unique_ptr<PassRunner> make_pass_runner(const AttentionShape& shape,
                                               const PassSizes& sizes) const override {
    const bool records =
        options_.graphs == GraphUse::on || (options_.graphs == GraphUse::automatic && !device().is_cpu());
    return cuda::make_kernel_runner(*this, {shape, operands(), device(), launchers_}, sizes, records);
  }

 private:
  [[nodiscard]] at::ScalarType operands() const {
    return options_.precision == Precision::bfloat16 ? at::kBFloat16 : at::kFloat;
  }
  void fit(at::Tensor& out, at::IntArrayRef sizes, at::ScalarType type) const {
    if (!out.defined() || out.scalar_type() != type || out.sizes() != sizes)
      out = cuda::numbers(sizes, type, device());
  }

  bool multiply(const at::Tensor& x, const Linear& w, std::int64_t v_begin, std::int64_t v_end, at::Tensor& y,
                bool accumulate) const {
    if (y.stride(1) != 1) return false;
    const at::Tensor rows = w.weight.dense.narrow(0, v_begin, v_end - v_begin);
    const at::Tensor operand = x.to(rows.scalar_type()).contiguous();
    const bool is_done =
        products_.multiply({.x = operand.const_data_ptr(),
                            .w = rows.const_data_ptr(),
                            .is_bfloat16 = rows.scalar_type() == at::kBFloat16,
                            .bias = w.bias.defined() ? w.bias.const_data_ptr<float>() + v_begin : nullptr,
                            .n = x.size(0),
                            .columns = v_end - v_begin,
                            .k = x.size(1),
                            .y = y.mutable_data_ptr<float>(),
                            .ldy = y.stride(0),
                            .accumulate = accumulate});
    // A recording has nothing but what goes through the launchers, in memory that stays.
    if (cuda::is_recording() && (!is_done || !operand.is_same(x)))
      throw cuda::NotRecordable(is_done ? "a product rounds its operand first" : "a product is LibTorch's");
    return is_done;
  }

  EngineOptions options_;
  const cuda::Launchers& launchers_;
  KernelVocabulary vocabulary_;
  mutable cuda::Products products_;
};

static_assert(static_cast<int>(ActivationKind::gelu_tanh) == 0 &&
                  static_cast<int>(ActivationKind::gelu_erf) == 1 &&
                  static_cast<int>(ActivationKind::silu) == 2 &&
                  static_cast<int>(ActivationKind::relu) == 3 && static_cast<int>(ActivationKind::tanh) == 4,
              "kernels.cuh counts activations so");

}  // namespace

#ifndef TWISTOR_HAS_GPU_KERNELS
const cuda::Launchers* cuda::gpu_launchers() {
  return nullptr;
}
#endif

std::shared_ptr<const Engine> make_kernel_engine(at::Device device, const EngineOptions& options) {
  const cuda::Launchers* const launchers =
      device.is_cpu() ? &cuda::emulated_launchers() : cuda::gpu_launchers();
  if (launchers == nullptr) return nullptr;
  return std::make_shared<const KernelEngine>(device, options, *launchers);
}

}  // namespace twistor::device
