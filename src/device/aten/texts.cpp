// SPDX-License-Identifier: Apache-2.0
// Rows stay without padding for products; attention sees texts side by side, padded and masked.
#include "texts.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::device {
namespace {

class AtenTexts final : public TextPass {
 public:
  AtenTexts(std::span<const std::int64_t> begins, at::Device device)
      : n_(static_cast<std::int64_t>(begins.size()) - 1) {
    for (std::size_t i = 0; i + 1 < begins.size(); ++i)
      longest_ = std::max(longest_, begins[i + 1] - begins[i]);
    std::vector<std::int64_t> row_of, place_of, is_there;
    for (std::size_t i = 0; i + 1 < begins.size(); ++i)
      for (std::int64_t j = 0; j < longest_; ++j) {
        const std::int64_t row = begins[i] + j;
        const bool is_token = row < begins[i + 1];
        row_of.push_back(is_token ? row : begins[i]);  // padding repeats a row, and is masked
        is_there.push_back(is_token ? 1 : 0);
        if (is_token) place_of.push_back(static_cast<std::int64_t>(i) * longest_ + j);
      }
    row_of_ = to_device(row_of, device);
    place_of_ = to_device(place_of, device);
    firsts_ = to_device(begins.first(begins.size() - 1), device);
    if (std::ranges::count(is_there, 0) > 0)
      is_there_ = to_device(is_there, device).view({n_, longest_}).to(at::kBool);
  }

  void attend(std::int64_t n_heads, const at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t d = qkv.size(1) / 3, size = d / n_heads;
    const at::Tensor parts = at::index_select(qkv, 0, row_of_)
                                 .view({n_, longest_, 3, n_heads, size})
                                 .permute({2, 0, 3, 1, 4});  // (3, texts, heads, tokens, size)
    std::optional<at::Tensor> mask;
    if (is_there_.defined()) mask = is_there_.view({n_, 1, 1, longest_}).expand({n_, 1, longest_, longest_});
    const at::Tensor sums =
        at::scaled_dot_product_attention(parts.select(0, 0), parts.select(0, 1), parts.select(0, 2), mask);
    out = at::index_select(sums.transpose(1, 2).reshape({n_ * longest_, d}), 0, place_of_);
  }

  at::Tensor pool(Pooling how, const at::Tensor& x) const override {
    if (how == Pooling::first) return at::index_select(x, 0, firsts_).to(at::kDouble);
    const at::Tensor padded = at::index_select(x, 0, row_of_).view({n_, longest_, x.size(1)}).to(at::kDouble);
    const double nothing = how == Pooling::sum ? 0 : -std::numeric_limits<double>::infinity();
    if (is_there_.defined()) padded.masked_fill_(is_there_.logical_not().unsqueeze(2), nothing);
    return how == Pooling::sum ? padded.sum(1) : padded.amax(1);
  }

 private:
  std::int64_t n_, longest_ = 0;
  at::Tensor row_of_;    // (texts * longest) int64
  at::Tensor place_of_;  // (rows) int64, where a row stands among the padded ones
  at::Tensor firsts_;    // (texts) int64
  at::Tensor is_there_;  // (texts, longest) bool; undefined: texts are of one length
};

}  // namespace

std::unique_ptr<TextPass> begin_aten_texts(std::span<const std::int64_t> begins, at::Device device) {
  return std::make_unique<AtenTexts>(begins, device);
}

}  // namespace twistor::device
