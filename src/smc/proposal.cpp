// Scoring rows over the vocabulary in tiles, and drawing from them.
#include "twistor/smc/proposal.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <fmt/format.h>

#include <algorithm>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/gather.hpp"
#include "twistor/model/vocabulary.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t tile_columns =
    2048;  // a multiple of 32; two tiles of 100 rows stay in the second cache
constexpr std::int64_t kept_bytes = std::int64_t{256}
                                    << 20;  // larger score matrices are computed again for the draw

template <class T>
std::span<const T> row_of_tensor(const at::Tensor& t, std::int64_t row, std::int64_t begin,
                                 std::int64_t count) {
  return {t.const_data_ptr<T>() + row * t.stride(0) + begin, static_cast<std::size_t>(count)};
}

/// The sums of one tile, and scores = logits + beta log psi in place of log psi.
template <class T>
void finish_tile(const at::Tensor& logits, at::Tensor& log_psi, bool has_twist, double beta,
                 at::Tensor* scores, std::int64_t v_begin, std::int64_t width, std::int64_t tile,
                 std::int64_t n_tiles, double* sums_p0, double* sums_q) {
  const std::int64_t n = logits.size(0);
  parallel_for(n, n * width > 20000, [&](std::int64_t r) {
    const T* l = logits.const_data_ptr<T>() + r * logits.stride(0);
    T* s = log_psi.mutable_data_ptr<T>() + r * log_psi.stride(0);
    const auto b = static_cast<T>(beta);
    for (std::int64_t c = 0; c < width; ++c) s[c] = has_twist ? l[c] + b * s[c] : l[c];
    sums_p0[r * n_tiles + tile] = model::row_log_sum_exp(row_of_tensor<T>(logits, r, 0, width));
    sums_q[r * n_tiles + tile] = has_twist ? model::row_log_sum_exp(row_of_tensor<T>(log_psi, r, 0, width))
                                           : sums_p0[r * n_tiles + tile];
    if (scores != nullptr)
      std::copy_n(s, width, scores->mutable_data_ptr<T>() + r * scores->stride(0) + v_begin);
  });
}

template <class T>
void draw_rows(const at::Tensor& scores, std::span<const double> log_sums, std::int64_t first_row,
               std::span<const std::int64_t> row_of, std::span<const double> u,
               std::span<const std::int64_t> forced, std::span<std::int64_t> tokens) {
  const std::int64_t end_row = first_row + scores.size(0), v = scores.size(1);
  const auto n = static_cast<std::int64_t>(row_of.size());
  parallel_for(n, n * v > 20000, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t row = row_of[at];
    if (row < first_row || row >= end_row) return;
    const double log_sum = log_sums[static_cast<std::size_t>(row)];
    if (forced[at] >= 0) {
      tokens[at] = forced[at];
    } else if (log_sum == log_zero) {
      tokens[at] = 0;  // no token has weight: the particle is dead whatever it draws
    } else {
      tokens[at] = model::draw_token(row_of_tensor<T>(scores, row - first_row, 0, v), log_sum, u[at]);
    }
  });
}

}  // namespace

void RowScores::append(const RowScores& other) {
  log_sum_p0.insert(log_sum_p0.end(), other.log_sum_p0.begin(), other.log_sum_p0.end());
  log_sum_q.insert(log_sum_q.end(), other.log_sum_q.begin(), other.log_sum_q.end());
  features = at::cat({features, other.features});
  scores = scores.defined() && other.scores.defined() ? at::cat({scores, other.scores}) : at::Tensor();
}

void RowScores::select(std::span<const std::int64_t> rows) {
  const auto pick = [&](const std::vector<double>& x) {
    std::vector<double> out;
    for (const std::int64_t r : rows) out.push_back(x[static_cast<std::size_t>(r)]);
    return out;
  };
  log_sum_p0 = pick(log_sum_p0);
  log_sum_q = pick(log_sum_q);
  const at::Tensor index = at::from_blob(const_cast<std::int64_t*>(rows.data()),
                                         {static_cast<std::int64_t>(rows.size())}, at::kLong);
  features = at::index_select(features, 0, index);
  if (scores.defined()) scores = at::index_select(scores, 0, index);
}

ProposalKind proposal_from_name(std::string_view name) {
  if (name == "base") return ProposalKind::base;
  if (name == "twisted") return ProposalKind::twisted;
  TWISTOR_CHECK(name == "tempered", ErrorKind::config, "reading smc.proposal",
                fmt::format("\"{}\" is not known, expected base, twisted or tempered", name));
  return ProposalKind::tempered;
}

Proposal::Proposal(const model::LanguageModel& lm, const twist::Twist& twist, ProposalKind kind, double beta)
    : lm_(lm), twist_(twist), kind_(kind), beta_(kind == ProposalKind::tempered ? beta : 1.0) {
  TWISTOR_CHECK(lm.vocab_size() == twist.vocab_size(), ErrorKind::data, "joining model and twist",
                fmt::format("the model has {} tokens, the twist {}", lm.vocab_size(), twist.vocab_size()),
                "the twist was learned for another model");
}

void Proposal::score_rows(const at::Tensor& hidden, const at::Tensor& features, std::int64_t begin,
                          std::int64_t end, at::Tensor* scores, double* log_sum_p0, double* log_sum_q) const {
  const std::int64_t n = end - begin, v = lm_.vocab_size(), n_tiles = (v + tile_columns - 1) / tile_columns;
  const at::Tensor h = hidden.slice(0, begin, end), f = features.slice(0, begin, end);
  const bool has_twist = kind_ != ProposalKind::base;
  at::Tensor logits = at::empty({n, std::min(v, tile_columns)}, hidden.options()),
             log_psi = at::empty_like(logits);
  std::vector<double> sums_p0(static_cast<std::size_t>(n * n_tiles)), sums_q(sums_p0.size());
  for (std::int64_t tile = 0; tile < n_tiles; ++tile) {
    const std::int64_t a = tile * tile_columns, b = std::min(v, a + tile_columns);
    lm_.logits(h, a, b, logits);
    if (has_twist) twist_.log_psi(f, a, b, log_psi);
    const auto finish = hidden.scalar_type() == at::kDouble ? &finish_tile<double> : &finish_tile<float>;
    finish(logits, log_psi, has_twist, beta_, scores, a, b - a, tile, n_tiles, sums_p0.data(), sums_q.data());
  }
  for (std::int64_t r = 0; r < n; ++r) {
    const auto row = [&](const std::vector<double>& s) {
      return std::span(s).subspan(static_cast<std::size_t>(r * n_tiles), static_cast<std::size_t>(n_tiles));
    };
    log_sum_p0[r] = log_sum_exp(row(sums_p0));
    log_sum_q[r] = log_sum_exp(row(sums_q));
  }
}

RowScores Proposal::score(const at::Tensor& hidden) const {
  const std::int64_t n = hidden.size(0), v = lm_.vocab_size();
  RowScores rows;
  rows.log_sum_p0.resize(static_cast<std::size_t>(n));
  rows.log_sum_q.resize(static_cast<std::size_t>(n));
  rows.features = twist_.features(hidden);
  const std::int64_t row_bytes = v * hidden.element_size(),
                     at_once = std::max<std::int64_t>(1, kept_bytes / row_bytes);
  if (n <= at_once) rows.scores = at::empty({n, v}, hidden.options());
  for (std::int64_t begin = 0; begin < n; begin += at_once)
    score_rows(hidden, rows.features, begin, std::min(n, begin + at_once),
               rows.scores.defined() ? &rows.scores : nullptr, rows.log_sum_p0.data() + begin,
               rows.log_sum_q.data() + begin);
  return rows;
}

Draws Proposal::draw(const RowScores& rows, const at::Tensor& hidden, std::span<const std::int64_t> row_of,
                     std::span<const double> u, std::span<const std::int64_t> forced) const {
  std::vector<std::int64_t> tokens(row_of.size());
  const auto draw_from = [&](const at::Tensor& scores, std::int64_t first) {
    const auto draw = scores.scalar_type() == at::kDouble ? &draw_rows<double> : &draw_rows<float>;
    draw(scores, rows.log_sum_q, first, row_of, u, forced, tokens);
  };
  if (rows.scores.defined()) {
    draw_from(rows.scores, 0);
  } else {
    const std::int64_t n = rows.size(), v = lm_.vocab_size();
    const std::int64_t at_once = std::max<std::int64_t>(1, kept_bytes / (v * hidden.element_size()));
    std::vector<double> unused_p0(static_cast<std::size_t>(at_once)), unused_q(unused_p0);
    for (std::int64_t begin = 0; begin < n; begin += at_once) {
      const std::int64_t end = std::min(n, begin + at_once);
      at::Tensor scores = at::empty({end - begin, v}, hidden.options());
      score_rows(hidden, rows.features, begin, end, &scores, unused_p0.data(), unused_q.data());
      draw_from(scores, begin);
    }
  }
  Draws draws = score_tokens(rows, hidden, row_of, tokens);
  draws.tokens = std::move(tokens);
  return draws;
}

Draws Proposal::score_tokens(const RowScores& rows, const at::Tensor& hidden,
                             std::span<const std::int64_t> row_of,
                             std::span<const std::int64_t> tokens) const {
  const auto n = static_cast<std::int64_t>(row_of.size());
  const at::Tensor index = at::from_blob(const_cast<std::int64_t*>(row_of.data()), {n}, at::kLong);
  const std::vector<double> logit = model::logits_at(lm_, at::index_select(hidden, 0, index), tokens);
  Draws out{{tokens.begin(), tokens.end()},
            {},
            {},
            twist::log_psi_at(twist_, at::index_select(rows.features, 0, index), tokens)};
  out.log_p0.resize(tokens.size());
  out.log_q.resize(tokens.size());
  const bool is_f32 = hidden.scalar_type() == at::kFloat, has_twist = kind_ != ProposalKind::base;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto row = static_cast<std::size_t>(row_of[i]);
    // The score is formed in the rows' own dtype, so log q belongs to exactly the distribution that is drawn
    // from.
    const double score =
        !has_twist ? logit[i]
        : is_f32   ? static_cast<double>(static_cast<float>(logit[i]) +
                                       static_cast<float>(beta_) * static_cast<float>(out.log_psi[i]))
                   : logit[i] + beta_ * out.log_psi[i];
    out.log_p0[i] = logit[i] - rows.log_sum_p0[row];
    out.log_q[i] = rows.log_sum_q[row] == log_zero ? out.log_p0[i] : score - rows.log_sum_q[row];
  }
  return out;
}

}  // namespace twistor::smc
