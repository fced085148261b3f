// Gathering scores panel by panel.
#include "twistor/model/gather.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/model/packed_matrix.hpp"

namespace twistor::model {

std::vector<double> gather_scores(const RowTile& tile, const at::Tensor& rows, std::span<const std::int64_t> tokens,
                                  std::int64_t vocab_size) {
  constexpr std::int64_t width = PackedMatrix::panel_columns;
  std::vector<std::int64_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto panel_of = [&](std::int64_t i) { return tokens[static_cast<std::size_t>(i)] / width; };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return panel_of(a) < panel_of(b); });
  std::vector<double> out(tokens.size());
  for (std::size_t begin = 0; begin < order.size();) {
    const std::int64_t panel = panel_of(order[begin]);
    std::size_t end = begin;
    while (end < order.size() && panel_of(order[end]) == panel) ++end;
    const std::int64_t v_begin = panel * width, v_end = std::min(vocab_size, v_begin + width);
    const auto index = at::from_blob(order.data() + begin, {static_cast<std::int64_t>(end - begin)}, at::kLong);
    at::Tensor scores = at::empty({index.size(0), v_end - v_begin}, rows.options());
    tile(at::index_select(rows, 0, index), v_begin, v_end, scores);
    const auto read = [&](auto* data) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto row = static_cast<std::int64_t>(i - begin);
        const std::int64_t column = tokens[static_cast<std::size_t>(order[i])] - v_begin;
        TWISTOR_ASSERT(column >= 0 && column < v_end - v_begin, "a token is out of the vocabulary");
        out[static_cast<std::size_t>(order[i])] = static_cast<double>(data[row * (v_end - v_begin) + column]);
      }
    };
    if (rows.scalar_type() == at::kDouble) {
      read(scores.const_data_ptr<double>());
    } else {
      read(scores.const_data_ptr<float>());
    }
    begin = end;
  }
  return out;
}

std::vector<double> logits_at(const LanguageModel& lm, const at::Tensor& hidden, std::span<const std::int64_t> tokens) {
  return gather_scores([&](const at::Tensor& rows, std::int64_t a, std::int64_t b, at::Tensor& out) { lm.logits(rows, a, b, out); },
                       hidden, tokens, lm.vocab_size());
}

}  // namespace twistor::model
