// SPDX-License-Identifier: Apache-2.0
// Rows stay without padding for products; attention sees texts side by side, padded and masked.
#include "texts.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
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

  void attend(const TextAttention& shape, const at::Tensor& qkv, at::Tensor& out) override {
    const std::int64_t n_heads = shape.n_heads, d = qkv.size(1) / 3, size = d / n_heads;
    const at::Tensor parts = at::index_select(qkv, 0, row_of_)
                                 .view({n_, longest_, 3, n_heads, size})
                                 .permute({2, 0, 3, 1, 4});  // (3, texts, heads, tokens, size)
    std::optional<at::Tensor> mask;
    if (is_there_.defined()) mask = is_there_.view({n_, 1, 1, longest_}).expand({n_, 1, longest_, longest_});
    const double scale = 1.0 / std::sqrt(static_cast<double>(shape.n_terms * size));
    if (shape.positions != nullptr) {
      const at::Tensor added =
          scores_of_distances(*shape.positions, parts.select(0, 0), parts.select(0, 1)).mul_(scale);
      mask = mask ? added.masked_fill(mask->logical_not(), -std::numeric_limits<double>::infinity()) : added;
    }
    const at::Tensor sums = at::scaled_dot_product_attention(parts.select(0, 0), parts.select(0, 1),
                                                             parts.select(0, 2), mask, 0.0, false, scale);
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
  /// (texts, heads, tokens, tokens) of queries and keys, (texts, heads, tokens, size) each.
  [[nodiscard]] at::Tensor scores_of_distances(const RelativePositions& positions, const at::Tensor& queries,
                                               const at::Tensor& keys) {
    if (!pair_rows_.defined()) pair_rows_ = rows_of_pairs(positions.row_of, queries.device());
    const std::int64_t n_heads = queries.size(1), size = queries.size(3);
    const auto met = [&](const at::Tensor& x, const at::Tensor& table, const at::Tensor& index) {
      const at::Tensor products = at::matmul(x, table.view({-1, n_heads, size}).permute({1, 2, 0}));
      return at::gather(products, 3, index.expand({n_, n_heads, longest_, longest_}));
    };
    const at::Tensor out = at::zeros({n_, n_heads, longest_, longest_}, queries.options());
    if (positions.keys.defined()) out.add_(met(queries, positions.keys, pair_rows_));
    if (positions.queries.defined())
      out.add_(met(keys, positions.queries, pair_rows_.transpose(2, 3)).transpose(2, 3));
    return out;
  }

  [[nodiscard]] at::Tensor rows_of_pairs(std::span<const std::int64_t> row_of, at::Device device) const {
    std::vector<std::int64_t> rows;
    const auto middle = static_cast<std::int64_t>(row_of.size() / 2);
    for (std::int64_t q = 0; q < longest_; ++q)
      for (std::int64_t k = 0; k < longest_; ++k)
        rows.push_back(row_of[static_cast<std::size_t>(middle + q - k)]);
    return to_device(rows, device).view({1, 1, longest_, longest_});
  }

  std::int64_t n_, longest_ = 0;
  at::Tensor row_of_;     // (texts * longest) int64
  at::Tensor place_of_;   // (rows) int64, where a row stands among the padded ones
  at::Tensor firsts_;     // (texts) int64
  at::Tensor is_there_;   // (texts, longest) bool; undefined: texts are of one length
  at::Tensor pair_rows_;  // (1, 1, longest, longest) int64, table rows of query - key; the same in all layers
};

}  // namespace

std::unique_ptr<TextPass> begin_aten_texts(std::span<const std::int64_t> begins, at::Device device) {
  return std::make_unique<AtenTexts>(begins, device);
}

}  // namespace twistor::device
