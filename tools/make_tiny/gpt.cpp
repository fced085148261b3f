// SPDX-License-Identifier: Apache-2.0
// Initial weights, forward pass and optimizer of the tiny GPT-2.
#include "make_tiny/gpt.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <cmath>
#include <limits>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"

namespace twistor::tiny {
namespace {

// Places in the parameter list; layer l's begin at n_outer + l * n_inner. The final layer norm follows the
// embeddings.
enum Outer : std::int64_t { wte, wpe, ln_f_weight, ln_f_bias, n_outer };
enum Inner : std::int64_t {
  ln_1_weight,
  ln_1_bias,
  attn_weight,
  attn_bias,
  attn_proj_weight,
  attn_proj_bias,
  ln_2_weight,
  ln_2_bias,
  fc_weight,
  fc_bias,
  mlp_proj_weight,
  mlp_proj_bias,
  n_inner
};

double initial_deviation(const std::string& name, std::int64_t n_layer) {
  constexpr double deviation = 0.02;
  return name.find("c_proj.weight") == std::string::npos
             ? deviation
             : deviation / std::sqrt(2.0 * static_cast<double>(n_layer));
}

}  // namespace

std::vector<std::pair<std::string, std::vector<std::int64_t>>> Gpt::parameter_shapes(const Shape& s) {
  const std::int64_t d = s.n_embd;
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> all{
      {"transformer.wte.weight", {s.n_vocab, d}},
      {"transformer.wpe.weight", {s.n_positions, d}},
      {"transformer.ln_f.weight", {d}},
      {"transformer.ln_f.bias", {d}}};
  for (std::int64_t l = 0; l < s.n_layer; ++l) {
    const std::string h = "transformer.h." + std::to_string(l) + ".";
    all.insert(all.end(), {{h + "ln_1.weight", {d}},
                           {h + "ln_1.bias", {d}},
                           {h + "attn.c_attn.weight", {d, 3 * d}},
                           {h + "attn.c_attn.bias", {3 * d}},
                           {h + "attn.c_proj.weight", {d, d}},
                           {h + "attn.c_proj.bias", {d}},
                           {h + "ln_2.weight", {d}},
                           {h + "ln_2.bias", {d}},
                           {h + "mlp.c_fc.weight", {d, 4 * d}},
                           {h + "mlp.c_fc.bias", {4 * d}},
                           {h + "mlp.c_proj.weight", {4 * d, d}},
                           {h + "mlp.c_proj.bias", {d}}});
  }
  return all;
}

Gpt::Gpt(const Shape& shape, std::uint64_t seed) : shape_(shape) {
  std::uint32_t index = 0;
  for (const auto& [name, sizes] : parameter_shapes(shape)) {
    const bool is_norm = name.find("ln_") != std::string::npos, is_bias = name.ends_with("bias");
    at::Tensor parameter = at::full(sizes, is_norm && !is_bias ? 1.0 : 0.0, at::kFloat);
    if (!is_norm && !is_bias) {
      Philox random(seed, Stream::model_init, index, 0);
      const double deviation = initial_deviation(name, shape.n_layer);
      float* out = parameter.data_ptr<float>();
      for (std::int64_t i = 0; i < parameter.numel(); ++i)
        out[i] = static_cast<float>(deviation * random.normal());
    }
    parameters_.push_back(std::move(parameter));
    ++index;
  }
}

Gpt::Gpt(const Shape& shape, std::vector<at::Tensor> parameters)
    : shape_(shape), parameters_(std::move(parameters)) {
  const auto expected = parameter_shapes(shape);
  TWISTOR_ASSERT(parameters_.size() == expected.size(), "one tensor for each parameter");
  for (std::size_t i = 0; i < expected.size(); ++i)
    TWISTOR_ASSERT(parameters_[i].sizes() == at::IntArrayRef(expected[i].second), expected[i].first);
}

Gpt Gpt::to_double() const {
  std::vector<at::Tensor> doubles;
  for (const at::Tensor& parameter : parameters_) doubles.push_back(parameter.to(at::kDouble));
  return {shape_, std::move(doubles)};
}

at::Tensor Gpt::attention(const at::Tensor& x, std::int64_t layer, const Past* past, Past* present) const {
  const at::Tensor* w = parameters_.data() + n_outer + layer * n_inner;
  const std::int64_t b = x.size(0), s = x.size(1), d = shape_.n_embd, head = d / shape_.n_head;
  const auto qkv = at::matmul(x, w[attn_weight]).add(w[attn_bias]).split(d, -1);  // 3 of (B, S, D)
  const auto heads = [&](const at::Tensor& t) { return t.view({b, s, shape_.n_head, head}).transpose(1, 2); };
  const at::Tensor q = heads(qkv[0]);
  at::Tensor k = heads(qkv[1]), v = heads(qkv[2]);
  std::int64_t before = 0;
  if (past != nullptr) {
    const auto& [old_k, old_v] = (*past)[static_cast<std::size_t>(layer)];
    before = old_k.size(2);
    k = at::cat({old_k.expand({b, -1, -1, -1}), k}, 2);
    v = at::cat({old_v.expand({b, -1, -1, -1}), v}, 2);
  }
  if (present != nullptr) present->emplace_back(k, v);
  at::Tensor scores =
      at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(head));  // (B, H, S, L + S)
  const at::Tensor future = at::ones({s, before + s}, at::kBool).triu(before + 1);
  scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
  const at::Tensor mixed = at::matmul(at::softmax(scores, -1), v).transpose(1, 2).reshape({b, s, d});
  return at::matmul(mixed, w[attn_proj_weight]).add(w[attn_proj_bias]);
}

at::Tensor Gpt::logits(const at::Tensor& ids, const Past* past, Past* present) const {
  const std::int64_t d = shape_.n_embd, before = past == nullptr ? 0 : past->front().first.size(2);
  TWISTOR_ASSERT(before + ids.size(1) <= shape_.n_positions, "the text fits into the context");
  const auto norm = [&](const at::Tensor& t, const at::Tensor& weight, const at::Tensor& bias) {
    return at::layer_norm(t, {d}, weight, bias, layer_norm_epsilon);
  };
  at::Tensor x = at::embedding(parameters_[wte], ids) +
                 parameters_[wpe].slice(0, before, before + ids.size(1));  // (B, S, D)
  for (std::int64_t l = 0; l < shape_.n_layer; ++l) {
    const at::Tensor* w = parameters_.data() + n_outer + l * n_inner;
    x = x + attention(norm(x, w[ln_1_weight], w[ln_1_bias]), l, past, present);
    const at::Tensor inner = at::matmul(norm(x, w[ln_2_weight], w[ln_2_bias]), w[fc_weight]).add(w[fc_bias]);
    x = x + at::matmul(at::gelu(inner, "tanh"), w[mlp_proj_weight]).add(w[mlp_proj_bias]);
  }
  return at::matmul(norm(x, parameters_[ln_f_weight], parameters_[ln_f_bias]), parameters_[wte].t());
}

Adam::Adam(std::vector<at::Tensor> parameters) : parameters_(std::move(parameters)) {
  for (const at::Tensor& parameter : parameters_) {
    mean_.push_back(at::zeros_like(parameter));
    square_.push_back(at::zeros_like(parameter));
  }
}

void Adam::step(double learning_rate) {
  constexpr double beta1 = 0.9, beta2 = 0.99, epsilon = 1e-8;
  const c10::NoGradGuard no_gradient;
  const auto n = static_cast<double>(++n_steps_);
  const double scale = std::sqrt(1 - std::pow(beta2, n)) / (1 - std::pow(beta1, n));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& gradient = parameters_[i].grad();
    mean_[i].mul_(beta1).add_(gradient, 1 - beta1);
    square_[i].mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    parameters_[i].addcdiv_(mean_[i], square_[i].sqrt().add_(epsilon), -learning_rate * scale);
    parameters_[i].mutable_grad().zero_();
  }
}

}  // namespace twistor::tiny
