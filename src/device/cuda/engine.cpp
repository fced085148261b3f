// SPDX-License-Identifier: Apache-2.0
// Which tensors the kernels get.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <utility>

#include "aten/engine.hpp"
#include "aten/kv_store.hpp"
#include "aten/tensors.hpp"
#include "tasks.hpp"
#include "twistor/base/error.hpp"
#include "twistor/device/kernel_engine.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {
namespace {

void check(const cuda::Launchers& launchers) {
  const char* const error = launchers.error();
  TWISTOR_CHECK(error == nullptr, ErrorKind::internal, "launching a GPU kernel", error,
                "set run.kernels = aten, and tell us");
}

at::Tensor numbers(at::IntArrayRef sizes, at::ScalarType type, at::Device device) {
  return at::empty(sizes, at::TensorOptions().dtype(type).device(device));
}

cuda::Output output(at::Tensor& out) {
  return {out.mutable_data_ptr(), out.scalar_type() == at::kBFloat16};
}

template <class T>
const T* optional(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

class KernelAttention final : public AttentionPass {
 public:
  KernelAttention(const AttentionShape& shape, const KvRows& rows, at::Device device, at::ScalarType out_type,
                  const cuda::Launchers& launchers)
      : shape_(shape),
        rows_(rows),
        store_(static_cast<AtenKvStore&>(*rows.store)),
        device_(device),
        out_type_(out_type),
        launchers_(launchers),
        positions_(shape, rows, device),
        table_(at::from_blob(const_cast<std::int32_t*>(rows.table.data()),
                             {static_cast<std::int64_t>(rows.table.size())}, at::kInt)
                   .to(device, at::kInt, /*non_blocking=*/false, /*copy=*/true)) {}

  void run(const LayerAttention& layer, at::Tensor& qkv, at::Tensor& out) override {
    at::Tensor keys = store_.keys(layer.layer), values = store_.values(layer.layer);
    const PassPositions::Angles angles = positions_.of(layer);
    launchers_.store({.qkv = qkv.mutable_data_ptr<float>(),
                      .n = rows_.size(),
                      .n_heads = static_cast<int>(shape_.n_heads),
                      .n_kv_heads = static_cast<int>(shape_.n_kv_heads),
                      .head_size = static_cast<int>(shape_.head_size),
                      .slots = positions_.slots.const_data_ptr<std::int64_t>(),
                      .cosine = optional<float>(angles.cosine),
                      .sine = optional<float>(angles.sine),
                      .pairs = static_cast<int>(angles.pairs),
                      .n_tokens = static_cast<int>(rows_.n_tokens),
                      .is_interleaved = shape_.is_interleaved,
                      .keys = output(keys),
                      .values = output(values)});
    if (out.scalar_type() != out_type_)
      out = numbers({rows_.size(), shape_.n_heads * shape_.head_size}, out_type_, device_);
    const cuda::AttendTask task{.qkv = qkv.const_data_ptr<float>(),
                                .n = rows_.size(),
                                .n_heads = static_cast<int>(shape_.n_heads),
                                .n_kv_heads = static_cast<int>(shape_.n_kv_heads),
                                .head_size = static_cast<int>(shape_.head_size),
                                .keys = keys.const_data_ptr(),
                                .values = values.const_data_ptr(),
                                .is_bfloat16 = keys.scalar_type() == at::kBFloat16,
                                .table = table_.const_data_ptr<std::int32_t>(),
                                .blocks_each = static_cast<int>(rows_.blocks_each),
                                .n_tokens = static_cast<int>(rows_.n_tokens),
                                .position = static_cast<int>(rows_.position),
                                .window = static_cast<int>(layer.window),
                                .scale = layer.scale,
                                .cap = shape_.cap,
                                .out = output(out)};
    launchers_.attend(task);
    check(launchers_);
  }

 private:
  AttentionShape shape_;
  KvRows rows_;
  AtenKvStore& store_;
  at::Device device_;
  at::ScalarType out_type_;
  const cuda::Launchers& launchers_;
  PassPositions positions_;
  at::Tensor table_;
};

class KernelVocabulary final : public VocabularyKernels {
 public:
  explicit KernelVocabulary(const cuda::Launchers& launchers) : launchers_(launchers) {}

  ScoreSums sum(const ScoreRows& rows) const override {
    const std::int64_t n = rows.a.size(0), blocks = rows.a.size(1) / score_block;
    const at::Device device = rows.a.device();
    const bool has_sum = rows.b.defined() && rows.draws_from_sum;
    at::Tensor of_a = numbers({n, blocks}, at::kDouble, device),
               of_scores = has_sum ? numbers({n, blocks}, at::kDouble, device) : of_a;
    launchers_.block_sums({.a = rows.a.const_data_ptr<float>(),
                           .b = has_sum ? rows.b.const_data_ptr<float>() : nullptr,
                           .beta = static_cast<float>(rows.beta),
                           .n = n,
                           .blocks = static_cast<int>(blocks),
                           .of_a = of_a.mutable_data_ptr<double>(),
                           .of_scores = has_sum ? of_scores.mutable_data_ptr<double>() : nullptr});
    ScoreSums out{of_scores, row_sums(of_a), {}};
    out.drawn = has_sum ? row_sums(of_scores) : out.of_a;
    check(launchers_);
    return out;
  }

  at::Tensor draw(const ScoreRows& rows, const at::Tensor& blocks, const at::Tensor& log_sums,
                  const ScoreDraws& draws) const override {
    const std::int64_t k = draws.row_of.size(0);
    at::Tensor out = numbers({3, k}, at::kDouble, rows.a.device());
    launchers_.draw({.a = rows.a.const_data_ptr<float>(),
                     .b = optional<float>(rows.b),
                     .beta = static_cast<float>(rows.beta),
                     .draws_from_sum = rows.b.defined() && rows.draws_from_sum,
                     .sums = blocks.const_data_ptr<double>(),
                     .log_sums = log_sums.const_data_ptr<double>(),
                     .blocks = static_cast<int>(blocks.size(1)),
                     .row_of = draws.row_of.const_data_ptr<std::int64_t>(),
                     .u = draws.u.const_data_ptr<double>(),
                     .forced = optional<std::int64_t>(draws.forced),
                     .k = k,
                     .out = out.mutable_data_ptr<double>()});
    check(launchers_);
    return out;
  }

 private:
  [[nodiscard]] at::Tensor row_sums(const at::Tensor& x) const {
    at::Tensor out = numbers({x.size(0)}, at::kDouble, x.device());
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
  KernelEngine(at::Device device, Precision precision, const cuda::Launchers& launchers)
      : AtenEngine(device),
        operands_(precision == Precision::bfloat16 ? at::kBFloat16 : at::kFloat),
        launchers_(launchers),
        vocabulary_(launchers) {}

  std::string description() const override {
    return device().is_cpu() ? "own kernels, emulated" : "own kernels on " + device().str();
  }
  const VocabularyKernels* vocabulary() const override { return &vocabulary_; }

  void normalise(const Norm& norm, const at::Tensor& x, at::Tensor& out) const override {
    fit(out, x.sizes(), norm.feeds_product ? operands_ : at::kFloat);
    launchers_.norm({.x = x.const_data_ptr<float>(),
                     .weight = norm.weight.const_data_ptr<float>(),
                     .bias = optional<float>(norm.bias),
                     .eps = norm.eps,
                     .n = x.size(0),
                     .stride = x.size(1),
                     .d = static_cast<int>(x.size(1)),
                     .out = output(out)});
    check(launchers_);
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
    check(launchers_);
  }

  void activate(ActivationKind kind, bool is_gated, at::Tensor& x, at::Tensor& out) const override {
    const std::int64_t n = x.size(0), f = is_gated ? x.size(1) / 2 : x.size(1);
    fit(out, {n, f}, operands_);
    launchers_.activate({.x = x.const_data_ptr<float>(),
                         .n = n,
                         .f = f,
                         .kind = static_cast<int>(kind),
                         .is_gated = is_gated,
                         .out = output(out)});
    check(launchers_);
  }

  std::unique_ptr<AttentionPass> begin_attention(const AttentionShape& shape,
                                                 const KvRows& rows) const override {
    const cuda::AttendTask task{.head_size = static_cast<int>(shape.head_size),
                                .is_bfloat16 = rows.store->shape().precision == Precision::bfloat16,
                                .n_tokens = static_cast<int>(rows.n_tokens),
                                .position = static_cast<int>(rows.position)};
    if (!cuda::fits(task)) return AtenEngine::begin_attention(shape, rows);
    return std::make_unique<KernelAttention>(shape, rows, device(), operands_, launchers_);
  }

 private:
  void fit(at::Tensor& out, at::IntArrayRef sizes, at::ScalarType type) const {
    if (!out.defined() || out.scalar_type() != type || out.sizes() != sizes)
      out = numbers(sizes, type, device());
  }

  at::ScalarType operands_;
  const cuda::Launchers& launchers_;
  KernelVocabulary vocabulary_;
};

static_assert(static_cast<int>(ActivationKind::gelu_tanh) == 0 &&
                  static_cast<int>(ActivationKind::gelu_erf) == 1,
              "kernels.cuh counts activations so");

}  // namespace

#ifndef TWISTOR_HAS_GPU_KERNELS
const cuda::Launchers* cuda::gpu_launchers() {
  return nullptr;
}
#endif

std::shared_ptr<const Engine> make_kernel_engine(at::Device device, Precision precision) {
  const cuda::Launchers* const launchers =
      device.is_cpu() ? &cuda::emulated_launchers() : cuda::gpu_launchers();
  if (launchers == nullptr) return nullptr;
  return std::make_shared<const KernelEngine>(device, precision, *launchers);
}

}  // namespace twistor::device
