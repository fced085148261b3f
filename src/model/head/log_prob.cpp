// SPDX-License-Identifier: Apache-2.0
// Normalising rows of logits: running log-sum-exp over tiles of the vocabulary, and what is read off the
// rows.
#include "twistor/model/log_prob.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/vocabulary.hpp"

namespace twistor::model {
namespace {

/// Calls use(Real{}) with the element type of the model's logits.
template <class Use>
void with_logit_type(const LanguageModel& lm, const Use& use) {
  if (lm.hidden_dtype() == at::kDouble)
    use(double{});
  else
    use(float{});
}

/// A row's probability; rounding may not lift it above 1.
double normalised(double logit, double log_total) {
  return std::min(logit - log_total, 0.0);
}

void check_tokens(const LanguageModel& lm, std::span<const std::int64_t> tokens) {
  for (const std::int64_t token : tokens)
    TWISTOR_CHECK(token >= 0 && token < lm.vocab_size(), ErrorKind::usage, "scoring tokens",
                  fmt::format("token {} is out of range (expected 0 to {})", token, lm.vocab_size() - 1));
}

/// Logits of rows [row_begin, row_end), columns [v_begin, v_end), contiguous in host memory.
template <class Real>
at::Tensor logits_of(const LanguageModel& lm, const at::Tensor& hidden, std::int64_t row_begin,
                     std::int64_t row_end, std::int64_t v_begin, std::int64_t v_end) {
  constexpr auto dtype = std::is_same_v<Real, double> ? at::kDouble : at::kFloat;
  at::Tensor out = at::empty({row_end - row_begin, v_end - v_begin}, hidden.options().dtype(dtype));
  lm.logits(hidden.narrow(0, row_begin, row_end - row_begin), v_begin, v_end, out);
  return out.to(at::kCPU);
}

template <class Real>
std::span<const Real> row_of(const at::Tensor& logits, std::int64_t row) {
  const auto width = static_cast<std::size_t>(logits.size(1));
  return {logits.const_data_ptr<Real>() + static_cast<std::size_t>(row) * width, width};
}

/// log sum exp of a row of which each block's is known.
double joined(std::span<const double> of_blocks) {
  const double log_total = log_sum_exp(of_blocks);
  TWISTOR_CHECK(log_total > log_zero, ErrorKind::data, "normalising the language model's logits",
                "every logit of a row is -inf, so no token can follow");
  return log_total;
}

/// Appends the sums of the blocks of a row or a tile.
template <class Real>
void append_blocks(std::span<const Real> row, std::vector<double>& sums) {
  const std::size_t begin = sums.size();
  sums.resize(begin + static_cast<std::size_t>(n_vocabulary_blocks(static_cast<std::int64_t>(row.size()))));
  block_log_sums(row, std::span(sums).subspan(begin));
}

/// log sum exp of a whole row: the same bits as from tiles that were computed apart.
template <class Real>
double log_total_of(std::span<const Real> row) {
  std::vector<double> sums;
  append_blocks(row, sums);
  return joined(sums);
}

/// The body of log_prob_of_tokens for one chunk of rows: one pass over the tiles, which keeps the tokens' own
/// logits.
template <class Real>
void score_chunk(const LanguageModel& lm, const at::Tensor& hidden, std::span<const std::int64_t> tokens,
                 std::int64_t row_begin, std::int64_t row_end, std::vector<double>& out) {
  const auto n = static_cast<std::size_t>(row_end - row_begin);
  std::vector<std::vector<double>> sums(n);
  std::vector<double> own(n);
  for (std::int64_t v_begin = 0; v_begin < lm.vocab_size(); v_begin += vocabulary_tile) {
    const std::int64_t v_end = std::min(v_begin + vocabulary_tile, lm.vocab_size());
    const at::Tensor tile = logits_of<Real>(lm, hidden, row_begin, row_end, v_begin, v_end);
    for (std::size_t i = 0; i < n; ++i) {
      const auto row = row_of<Real>(tile, static_cast<std::int64_t>(i));
      append_blocks(row, sums[i]);
      const std::int64_t token = tokens[static_cast<std::size_t>(row_begin) + i];
      if (token >= v_begin && token < v_end)
        own[i] = static_cast<double>(row[static_cast<std::size_t>(token - v_begin)]);
    }
  }
  for (std::size_t i = 0; i < n; ++i) out.push_back(normalised(own[i], joined(sums[i])));
}

}  // namespace

std::vector<double> log_prob_of_tokens(const LanguageModel& lm, const at::Tensor& hidden,
                                       std::span<const std::int64_t> tokens) {
  const std::int64_t n = hidden.size(0);
  TWISTOR_ASSERT(hidden.dim() == 2 && static_cast<std::int64_t>(tokens.size()) == n,
                 "one token per row of hidden (n, D)");
  check_tokens(lm, tokens);
  std::vector<double> result;
  result.reserve(tokens.size());
  with_logit_type(lm, [&](auto real) {
    for (std::int64_t begin = 0; begin < n; begin += row_chunk)
      score_chunk<decltype(real)>(lm, hidden, tokens, begin, std::min(begin + row_chunk, n), result);
  });
  return result;
}

std::vector<double> log_totals(const LanguageModel& lm, const at::Tensor& hidden) {
  std::vector<double> result;
  with_logit_type(lm, [&](auto real) {
    using Real = decltype(real);
    for (std::int64_t begin = 0; begin < hidden.size(0); begin += row_chunk) {
      const std::int64_t end = std::min(begin + row_chunk, hidden.size(0));
      std::vector<std::vector<double>> sums(static_cast<std::size_t>(end - begin));
      for (std::int64_t v_begin = 0; v_begin < lm.vocab_size(); v_begin += vocabulary_tile) {
        const at::Tensor tile = logits_of<Real>(lm, hidden, begin, end, v_begin,
                                                std::min(v_begin + vocabulary_tile, lm.vocab_size()));
        parallel_for(end - begin, tile.numel() > 20000, [&](std::int64_t i) {
          append_blocks(row_of<Real>(tile, i), sums[static_cast<std::size_t>(i)]);
        });
      }
      for (const std::vector<double>& of_blocks : sums) result.push_back(joined(of_blocks));
    }
  });
  return result;
}

std::vector<double> log_prob_rows(const LanguageModel& lm, const at::Tensor& hidden) {
  TWISTOR_ASSERT(hidden.dim() == 2, "hidden is (n, D)");
  const std::int64_t n = hidden.size(0);
  std::vector<double> result;
  result.reserve(static_cast<std::size_t>(n * lm.vocab_size()));
  with_logit_type(lm, [&](auto real) {
    using Real = decltype(real);
    for (std::int64_t begin = 0; begin < n; begin += row_chunk) {
      const std::int64_t end = std::min(begin + row_chunk, n);
      const at::Tensor logits = logits_of<Real>(lm, hidden, begin, end, 0, lm.vocab_size());
      for (std::int64_t i = 0; i < end - begin; ++i) {
        const auto row = row_of<Real>(logits, i);
        const double log_total = log_total_of(row);
        for (const Real x : row) result.push_back(normalised(static_cast<double>(x), log_total));
      }
    }
  });
  return result;
}

TokenDraws draw_tokens(const LanguageModel& lm, const at::Tensor& hidden, std::span<const double> u) {
  const auto n = static_cast<std::int64_t>(u.size());
  const bool is_shared = hidden.size(0) == 1;
  TWISTOR_ASSERT(hidden.dim() == 2 && (is_shared || hidden.size(0) == n), "hidden is (n, D) or (1, D)");
  TokenDraws result;
  const auto draw = [&](auto row, double log_total, std::size_t i) {
    const std::int64_t token = draw_token(row, log_total, u[i]);
    result.tokens.push_back(token);
    result.log_p.push_back(normalised(static_cast<double>(row[static_cast<std::size_t>(token)]), log_total));
  };
  // Whole rows are needed here, so fewer of them go together than in scoring.
  constexpr std::int64_t rows_together = 64;
  with_logit_type(lm, [&](auto real) {
    using Real = decltype(real);
    for (std::int64_t begin = 0; begin < hidden.size(0); begin += rows_together) {
      const std::int64_t end = std::min(begin + rows_together, hidden.size(0));
      const at::Tensor logits = logits_of<Real>(lm, hidden, begin, end, 0, lm.vocab_size());
      for (std::int64_t i = 0; i < end - begin; ++i) {
        const auto row = row_of<Real>(logits, i);
        const double log_total = log_total_of(row);
        if (is_shared)
          for (std::size_t j = 0; j < u.size(); ++j) draw(row, log_total, j);
        else
          draw(row, log_total, static_cast<std::size_t>(begin + i));
      }
    }
  });
  return result;
}

std::vector<double> score(const LanguageModel& lm, std::span<const std::int64_t> tokens) {
  TWISTOR_CHECK(!tokens.empty(), ErrorKind::usage, "scoring tokens",
                "there are none (expected at least one)");
  check_tokens(lm, tokens);
  const auto n = static_cast<std::int64_t>(tokens.size()) - 1;
  if (n == 0) return {};
  const auto cache = lm.make_cache(1);
  const at::Tensor hidden = lm.forward(tokens.first(static_cast<std::size_t>(n)), *cache);
  return log_prob_of_tokens(lm, hidden.reshape({n, lm.hidden_size()}), tokens.subspan(1));
}

}  // namespace twistor::model
