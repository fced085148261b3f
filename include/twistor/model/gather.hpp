// SPDX-License-Identifier: Apache-2.0
// Single entries of vocabulary rows with the bits of the whole row, by products of one panel of 32 columns.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// Fills out (n, v_end - v_begin) with rows of scores; v_begin is a multiple of 32.
using RowTile =
    std::function<void(const at::Tensor& rows, std::int64_t v_begin, std::int64_t v_end, at::Tensor& out)>;

/// scores(rows[i])[tokens[i]], (n) float64. Rows that ask for the same panel share one product.
[[nodiscard]] std::vector<double> gather_scores(const RowTile& tile, const at::Tensor& rows,
                                                std::span<const std::int64_t> tokens,
                                                std::int64_t vocab_size);

/// Unnormalised log p0 at one token a row, (n) float64; the same bits as LanguageModel::logits gives there.
[[nodiscard]] std::vector<double> logits_at(const LanguageModel& lm, const at::Tensor& hidden,
                                            std::span<const std::int64_t> tokens);

}  // namespace twistor::model
