// SPDX-License-Identifier: Apache-2.0
// From hidden states to probabilities of tokens, in float64, a tile of the vocabulary at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/model/language_model.hpp"

namespace twistor::model {

/// Columns of logits that are held at a time, a multiple of vocabulary_block, and rows that go with them:
/// bounds on memory.
inline constexpr std::int64_t vocabulary_tile = 4096;
inline constexpr std::int64_t row_chunk = 256;

/// log p0(tokens[i] | hidden row i). hidden: (n, D); tokens: (n); returns (n). *Local.* Row i depends on row
/// i alone. Throws Error(usage) on a token out of range.
[[nodiscard]] std::vector<double> log_prob_of_tokens(const LanguageModel& lm, const at::Tensor& hidden,
                                                     std::span<const std::int64_t> tokens);

/// log sum_v exp(logit) of each row, (n). hidden: (n, D). *Local.* Row i depends on row i alone.
[[nodiscard]] std::vector<double> log_totals(const LanguageModel& lm, const at::Tensor& hidden);

/// log p0(v | hidden row i) for all v, (n * V) row-major: for small vocabularies. *Local.*
[[nodiscard]] std::vector<double> log_prob_rows(const LanguageModel& lm, const at::Tensor& hidden);

struct TokenDraws {
  std::vector<std::int64_t> tokens;  // (n)
  std::vector<double> log_p;         // (n) log p0 of each
};

/// One token per row by draw_token (vocabulary.hpp) with quantile u[i]. hidden: (n, D), or (1, D) for one row
/// that all n draw from.
[[nodiscard]] TokenDraws draw_tokens(const LanguageModel& lm, const at::Tensor& hidden,
                                     std::span<const double> u);

}  // namespace twistor::model
