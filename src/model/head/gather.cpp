// SPDX-License-Identifier: Apache-2.0
// Gathering scores panel by panel.
#include "twistor/model/gather.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/device/packed_matrix.hpp"
#include "twistor/device/tensor_vocabulary.hpp"

namespace twistor::model {

namespace {

/// Whole rows of scores on the rows' device, a few at a time.
std::vector<double> gather_on_device(const RowTile& tile, const at::Tensor& rows,
                                     std::span<const std::int64_t> tokens, std::int64_t vocab_size) {
  constexpr std::size_t rows_together = 2048;
  std::vector<double> out;
  for (std::size_t begin = 0; begin < tokens.size(); begin += rows_together) {
    const auto part = tokens.subspan(begin, std::min(rows_together, tokens.size() - begin));
    const auto n = static_cast<std::int64_t>(part.size());
    at::Tensor scores = at::empty({n, vocab_size}, rows.options());
    tile(rows.narrow(0, static_cast<std::int64_t>(begin), n), 0, vocab_size, scores);
    const at::Tensor chosen =
        at::gather(scores, 1, device::to_device(part, rows.device()).unsqueeze(1)).to(at::kDouble);
    const std::vector<double> values = device::numbers_of(chosen);
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace

std::vector<double> gather_scores(const RowTile& tile, const at::Tensor& rows,
                                  std::span<const std::int64_t> tokens, std::int64_t vocab_size) {
  if (!rows.is_cpu()) return gather_on_device(tile, rows, tokens, vocab_size);
  constexpr std::int64_t width = device::PackedMatrix::panel_columns;
  const auto panel_of = [&](std::int64_t i) { return tokens[static_cast<std::size_t>(i)] / width; };
  std::vector<std::size_t> ends(static_cast<std::size_t>((vocab_size + width - 1) / width));
  for (const std::int64_t token : tokens) {
    TWISTOR_ASSERT(token >= 0 && token < vocab_size, "a token is out of the vocabulary");
    ++ends[static_cast<std::size_t>(token / width)];
  }
  std::vector<std::size_t> begins;  // where the tokens of each panel that occurs begin, and the end
  for (std::size_t sum = 0; std::size_t & end : ends) {
    if (end > 0) begins.push_back(sum);
    sum += std::exchange(end, sum);  // for now where the panel begins
  }
  begins.push_back(tokens.size());
  std::vector<std::int64_t> order(tokens.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[ends[static_cast<std::size_t>(tokens[i] / width)]++] = static_cast<std::int64_t>(i);

  std::vector<double> out(tokens.size());
  const auto n_panels = static_cast<std::int64_t>(begins.size()) - 1;
  parallel_for(n_panels, n_panels > 4, [&](std::int64_t group) {
    const std::size_t begin = begins[static_cast<std::size_t>(group)],
                      end = begins[static_cast<std::size_t>(group) + 1];
    const std::int64_t v_begin = panel_of(order[begin]) * width,
                       v_end = std::min(vocab_size, v_begin + width);
    const auto index =
        at::from_blob(order.data() + begin, {static_cast<std::int64_t>(end - begin)}, at::kLong);
    at::Tensor scores = at::empty({index.size(0), v_end - v_begin}, rows.options());
    tile(at::index_select(rows, 0, index), v_begin, v_end, scores);
    const auto read = [&](auto* data) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto row = static_cast<std::int64_t>(i - begin);
        const std::int64_t column = tokens[static_cast<std::size_t>(order[i])] - v_begin;
        out[static_cast<std::size_t>(order[i])] = static_cast<double>(data[row * (v_end - v_begin) + column]);
      }
    };
    if (rows.scalar_type() == at::kDouble) {
      read(scores.const_data_ptr<double>());
    } else {
      read(scores.const_data_ptr<float>());
    }
  });
  return out;
}

std::vector<double> logits_at(const LanguageModel& lm, const at::Tensor& hidden,
                              std::span<const std::int64_t> tokens) {
  return gather_scores([&](const at::Tensor& rows, std::int64_t a, std::int64_t b,
                           at::Tensor& out) { lm.logits(rows, a, b, out); },
                       hidden, tokens, lm.vocab_size());
}

}  // namespace twistor::model
