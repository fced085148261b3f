// SPDX-License-Identifier: Apache-2.0
// Scoring rows over the vocabulary in tiles in host memory, and drawing from them.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "head.hpp"
#include "select_rows.hpp"
#include "truncation.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/gather.hpp"
#include "twistor/model/vocabulary.hpp"

namespace twistor::smc {
namespace {

/// A particle whose token lies in a block, and what is left of its uniform number there.
struct Drawer {
  double u = 0;
  std::int32_t block = -1, row = 0, particle = 0;
};

// A multiple of vocabulary_block; two tiles of 100 rows stay in the second cache.
constexpr std::int64_t tile_columns = 2048;
constexpr std::int64_t rows_at_once = 1024;  // bounds the memory of tiles

template <class T>
std::span<const T> row_of_tensor(const at::Tensor& t, std::int64_t row, std::int64_t width) {
  return {t.const_data_ptr<T>() + row * t.stride(0), static_cast<std::size_t>(width)};
}

/// scores = logits + beta log psi, where log psi stands in scores.
template <class T>
void add_logits(const at::Tensor& logits, at::Tensor& scores, double beta, std::int64_t width) {
  const std::int64_t n = logits.size(0);
  const auto b = static_cast<T>(beta);
  parallel_for(n, n * width > 20000, [&](std::int64_t r) {
    const T* l = logits.const_data_ptr<T>() + r * logits.stride(0);
    T* s = scores.mutable_data_ptr<T>() + r * scores.stride(0);
    for (std::int64_t c = 0; c < width; ++c) s[c] = l[c] + b * s[c];
  });
}

/// A policy's logits become what is drawn from; lowest: (n, 1) float64.
template <class T>
void truncate(at::Tensor& scores, const at::Tensor& lowest, const Truncation& truncation,
              std::int64_t width) {
  const std::int64_t n = scores.size(0);
  parallel_for(n, n * width > 20000, [&](std::int64_t r) {
    T* s = scores.mutable_data_ptr<T>() + r * scores.stride(0);
    const double least = lowest.const_data_ptr<double>()[r * lowest.stride(0)];
    for (std::int64_t c = 0; c < width; ++c) {
      s[c] = tempered(s[c], truncation);
      if (static_cast<double>(s[c]) < least) s[c] = static_cast<T>(log_zero);
    }
  });
}

/// The sums of a tile's blocks into columns [first, ...) of sums, (n, n_blocks).
template <class T>
void sum_tile(const at::Tensor& tile, std::int64_t width, std::int64_t first, std::int64_t n_blocks,
              std::span<double> sums) {
  const std::int64_t n = tile.size(0);
  parallel_for(n, n * width > 20000, [&](std::int64_t r) {
    model::block_log_sums(row_of_tensor<T>(tile, r, width),
                          sums.subspan(static_cast<std::size_t>(r * n_blocks + first),
                                       static_cast<std::size_t>(model::n_vocabulary_blocks(width))));
  });
}

/// The particles of each row: those of row r are order[begin[r]] ... order[begin[r + 1] - 1], increasing.
struct ByRow {
  ByRow(std::span<const std::int64_t> row_of, std::int64_t n_rows)
      : begin(static_cast<std::size_t>(n_rows) + 1), order(row_of.size()) {
    for (const std::int64_t r : row_of) ++begin[static_cast<std::size_t>(r) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::vector<std::int32_t> next(begin.begin(), begin.end() - 1);
    for (std::size_t i = 0; i < row_of.size(); ++i)
      order[static_cast<std::size_t>(next[static_cast<std::size_t>(row_of[i])]++)] =
          static_cast<std::int32_t>(i);
  }
  std::vector<std::int32_t> begin, order;
};

/// Chooses the block of one row's particles, which stand in `order`, into `out`. Who does not draw (because
/// its token is forced, or its row is without weight) keeps block -1.
void choose_blocks_of_row(const RowScores& rows, std::int64_t row, std::span<const std::int32_t> order,
                          std::span<const double> u, std::span<const std::int64_t> forced,
                          std::span<Drawer> out) {
  const double log_sum = rows.log_sum_q[static_cast<std::size_t>(row)];
  if (order.empty() || log_sum == log_zero) return;
  const std::span<const double> sums = rows.blocks_of(row);
  const model::TokenCdf blocks(sums, log_sum);
  for (std::size_t j = 0; j < order.size(); ++j) {
    const auto i = static_cast<std::size_t>(order[j]);
    if (!forced.empty() && forced[i] >= 0) continue;
    const model::BlockDraw draw = model::draw_block(blocks, u[i]);
    out[j] = {draw.u, static_cast<std::int32_t>(draw.block), static_cast<std::int32_t>(row), order[j]};
  }
}

/// The blocks of all particles, in the order of rows; some may keep block -1.
std::vector<Drawer> choose_blocks(const RowScores& rows, const ByRow& particles, std::span<const double> u,
                                  std::span<const std::int64_t> forced) {
  std::vector<Drawer> all(particles.order.size());
  constexpr std::int64_t rows_together = 16;  // a row's particles are too little work to be handed out
  const std::int64_t n_rows = rows.size(), n_parts = (n_rows + rows_together - 1) / rows_together;
  parallel_for(n_parts, n_parts > 1, [&](std::int64_t part) {
    for (std::int64_t r = part * rows_together; r < std::min(n_rows, (part + 1) * rows_together); ++r) {
      const auto begin = static_cast<std::size_t>(particles.begin[static_cast<std::size_t>(r)]),
                 size = static_cast<std::size_t>(particles.begin[static_cast<std::size_t>(r) + 1]) - begin;
      choose_blocks_of_row(rows, r, std::span(particles.order).subspan(begin, size), u, forced,
                           std::span(all).subspan(begin, size));
    }
  });
  return all;
}

/// Those that draw, in the order of blocks, rows and particles, and where the drawers of each block begin.
struct ByBlock {
  ByBlock(const std::vector<Drawer>& by_row, std::int64_t n_blocks)
      : begin(static_cast<std::size_t>(n_blocks) + 1) {
    for (const Drawer& d : by_row)
      if (d.block >= 0) ++begin[static_cast<std::size_t>(d.block) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
    drawers.resize(begin.back());
    for (const Drawer& d : by_row)
      if (d.block >= 0) drawers[next[static_cast<std::size_t>(d.block)]++] = d;
  }
  std::vector<std::size_t> begin;
  std::vector<Drawer> drawers;
};

/// The particles of one block share the branches of their rows. drawn: tokens within the block.
void add_drawn(std::span<const Drawer> drawers, std::span<const std::int32_t> drawn, std::int64_t block_begin,
               BranchList& list) {
  constexpr auto width = static_cast<std::size_t>(model::vocabulary_block);
  std::array<std::int64_t, width> branch_of{};
  std::array<std::int32_t, width> seen_in;  // the row that branch_of belongs to
  seen_in.fill(-1);
  for (std::size_t i = 0; i < drawers.size(); ++i) {
    const auto token = static_cast<std::size_t>(drawn[i]);
    if (seen_in[token] != drawers[i].row) {
      seen_in[token] = drawers[i].row;
      branch_of[token] = list.add(drawers[i].row, block_begin + drawn[i]);
    }
    list.of[static_cast<std::size_t>(drawers[i].particle)] = branch_of[token];
  }
}

/// Those that did not draw: as forced, or token 0 of rows without weight, where a particle is dead whatever
/// it takes.
void add_others(std::span<const std::int64_t> row_of, std::span<const std::int64_t> forced,
                std::int64_t n_rows, BranchList& list) {
  std::vector<std::int64_t> dead_branch(static_cast<std::size_t>(n_rows), -1);
  const auto find = [&](std::int64_t row,
                        std::int64_t token) {  // few are forced: one, where a path is pinned
    for (std::size_t j = 0; j < list.rows.size(); ++j)
      if (list.rows[j] == row && list.tokens[j] == token) return static_cast<std::int64_t>(j);
    return list.add(row, token);
  };
  for (std::size_t i = 0; i < row_of.size(); ++i) {
    if (list.of[i] >= 0) continue;
    if (!forced.empty() && forced[i] >= 0) {
      list.of[i] = find(row_of[i], forced[i]);
      continue;
    }
    std::int64_t& branch = dead_branch[static_cast<std::size_t>(row_of[i])];
    if (branch < 0) branch = find(row_of[i], 0);
    list.of[i] = branch;
  }
}

/// Rows of hidden states with what goes with them.
struct RowsToScore {
  at::Tensor hidden, features;
  at::Tensor lowest;  ///< of a policy
};

class TileHead final : public Head {
 public:
  using Head::Head;

  RowScores score(const at::Tensor& hidden) const override;
  Branches branch(const RowScores& rows, const at::Tensor& hidden, const DrawRequest& request) const override;
  Draws score_tokens(const RowScores& rows, const at::Tensor& hidden, std::span<const std::int64_t> row_of,
                     std::span<const std::int64_t> tokens) const override;

 private:
  /// Tokens, counted within their block, of particles that all draw in one block, in the order of rows.
  void draw_in_block(const RowScores& rows, const at::Tensor& hidden, std::span<const Drawer> drawers,
                     std::span<std::int32_t> drawn) const;
  /// The sums of the vocabulary's blocks, (n, blocks) each; blocks_q is left alone where q = p0.
  void sum_rows(const RowsToScore& rows, std::span<double> blocks_p0, std::span<double> blocks_q) const;
  /// Logits and scores, logits + beta log psi or a policy's, of the columns [v_begin, v_end).
  void score_tile(const RowsToScore& rows, std::int64_t v_begin, std::int64_t v_end, at::Tensor& logits,
                  at::Tensor& scores) const;
  /// A policy's scores at tokens, one a row, with the bits of score_tile(); empty for other proposals.
  std::vector<double> policy_scores_at(const RowScores& rows, const at::Tensor& hidden,
                                       std::span<const std::int64_t> row_of,
                                       std::span<const std::int64_t> tokens) const;
};

void TileHead::score_tile(const RowsToScore& rows, std::int64_t v_begin, std::int64_t v_end,
                          at::Tensor& logits, at::Tensor& scores) const {
  const auto& [hidden, features, lowest] = rows;
  lm_.logits(hidden, v_begin, v_end, logits);
  if (kind_ == ProposalKind::base) {
    scores = logits;
    return;
  }
  if (kind_ == ProposalKind::policy) {
    policy_->logits(hidden, v_begin, v_end, scores);
    const auto cut = hidden.scalar_type() == at::kDouble ? &truncate<double> : &truncate<float>;
    cut(scores, lowest, truncation_, v_end - v_begin);
    return;
  }
  twist_.log_psi(features, v_begin, v_end, scores);
  const auto add = hidden.scalar_type() == at::kDouble ? &add_logits<double> : &add_logits<float>;
  add(logits, scores, beta_, v_end - v_begin);
}

RowScores TileHead::score(const at::Tensor& hidden) const {
  const std::int64_t n = hidden.size(0), n_blocks = model::n_vocabulary_blocks(lm_.vocab_size());
  RowScores rows;
  rows.features = twist_.features(hidden);
  if (kind_ == ProposalKind::policy) rows.lowest = lowest_kept_of(*policy_, hidden, truncation_);
  rows.block_log_sums = at::empty({n, n_blocks}, at::kDouble);
  std::vector<double> blocks_p0(static_cast<std::size_t>(n * n_blocks));
  const std::span<double> blocks_q(rows.block_log_sums.mutable_data_ptr<double>(), blocks_p0.size());
  for (std::int64_t begin = 0; begin < n; begin += rows_at_once) {
    const std::int64_t end = std::min(n, begin + rows_at_once);
    const auto part = [&](std::span<double> sums) {
      return sums.subspan(static_cast<std::size_t>(begin * n_blocks));
    };
    const at::Tensor lowest = rows.lowest.defined() ? rows.lowest.slice(0, begin, end) : at::Tensor();
    sum_rows({hidden.slice(0, begin, end), rows.features.slice(0, begin, end), lowest}, part(blocks_p0),
             part(blocks_q));
  }
  if (kind_ == ProposalKind::base) std::ranges::copy(blocks_p0, blocks_q.begin());
  rows.log_sum_p0.resize(static_cast<std::size_t>(n));
  rows.log_sum_q.resize(rows.log_sum_p0.size());
  parallel_for(n, n * n_blocks > 4096, [&](std::int64_t r) {
    const auto row = [&](std::span<const double> sums) {
      return log_sum_exp(
          sums.subspan(static_cast<std::size_t>(r * n_blocks), static_cast<std::size_t>(n_blocks)));
    };
    rows.log_sum_p0[static_cast<std::size_t>(r)] = row(blocks_p0);
    rows.log_sum_q[static_cast<std::size_t>(r)] = row(blocks_q);
  });
  return rows;
}

void TileHead::sum_rows(const RowsToScore& rows, std::span<double> blocks_p0,
                        std::span<double> blocks_q) const {
  const at::Tensor& hidden = rows.hidden;
  const std::int64_t n = hidden.size(0), v = lm_.vocab_size(), n_blocks = model::n_vocabulary_blocks(v);
  at::Tensor logits = at::empty({n, std::min(v, tile_columns)}, hidden.options()),
             scores = at::empty_like(logits);
  const auto sum = hidden.scalar_type() == at::kDouble ? &sum_tile<double> : &sum_tile<float>;
  for (std::int64_t begin = 0; begin < v; begin += tile_columns) {
    const std::int64_t end = std::min(v, begin + tile_columns), first = begin / model::vocabulary_block;
    score_tile(rows, begin, end, logits, scores);
    sum(logits, end - begin, first, n_blocks, blocks_p0);
    if (kind_ != ProposalKind::base) sum(scores, end - begin, first, n_blocks, blocks_q);
  }
}

Branches TileHead::branch(const RowScores& rows, const at::Tensor& hidden, const DrawRequest& request) const {
  const auto& [row_of, u, forced] = request;
  const ByBlock by_block(choose_blocks(rows, ByRow(row_of, rows.size()), u, forced),
                         model::n_vocabulary_blocks(lm_.vocab_size()));
  std::vector<std::int32_t> drawn(by_block.drawers.size());
  BranchList list(row_of.size());
  for (std::size_t block = 0; block + 1 < by_block.begin.size(); ++block) {
    const std::size_t begin = by_block.begin[block], size = by_block.begin[block + 1] - begin;
    if (size == 0) continue;
    const auto drawers = std::span(by_block.drawers).subspan(begin, size);
    const auto tokens = std::span(drawn).subspan(begin, size);
    draw_in_block(rows, hidden, drawers, tokens);
    add_drawn(drawers, tokens, static_cast<std::int64_t>(block) * model::vocabulary_block, list);
  }
  add_others(row_of, forced, rows.size(), list);
  Draws tokens = score_tokens(rows, hidden, list.rows, list.tokens);
  return {std::move(list.rows), std::move(tokens), std::move(list.of)};
}

void TileHead::draw_in_block(const RowScores& rows, const at::Tensor& hidden, std::span<const Drawer> drawers,
                             std::span<std::int32_t> drawn) const {
  const std::int64_t block = drawers[0].block, begin = block * model::vocabulary_block,
                     width = std::min(model::vocabulary_block, lm_.vocab_size() - begin);
  std::vector<std::int64_t> distinct;  // rows that are drawn from
  std::vector<std::size_t> first;      // where the drawers of each begin, and the end
  for (std::size_t i = 0; i < drawers.size(); ++i) {
    if (i > 0 && drawers[i].row == drawers[i - 1].row) continue;
    distinct.push_back(drawers[i].row);
    first.push_back(i);
  }
  first.push_back(drawers.size());
  at::Tensor logits = at::empty({static_cast<std::int64_t>(distinct.size()), width}, hidden.options()),
             scores = at::empty_like(logits);
  score_tile({select_rows(hidden, distinct), select_rows(rows.features, distinct),
              rows.lowest.defined() ? select_rows(rows.lowest, distinct) : at::Tensor()},
             begin, begin + width, logits, scores);
  const bool is_double = scores.scalar_type() == at::kDouble;
  parallel_for(static_cast<std::int64_t>(distinct.size()), distinct.size() > 16, [&](std::int64_t r) {
    const auto place = static_cast<std::size_t>(r);
    const double log_sum = rows.blocks_of(distinct[place])[static_cast<std::size_t>(block)];
    const model::TokenCdf cdf = is_double ? model::TokenCdf(row_of_tensor<double>(scores, r, width), log_sum)
                                          : model::TokenCdf(row_of_tensor<float>(scores, r, width), log_sum);
    for (std::size_t i = first[place]; i < first[place + 1]; ++i)
      drawn[i] = static_cast<std::int32_t>(cdf.draw(drawers[i].u));
  });
}

Draws TileHead::score_tokens(const RowScores& rows, const at::Tensor& hidden,
                             std::span<const std::int64_t> row_of,
                             std::span<const std::int64_t> tokens) const {
  const std::vector<double> logit = model::logits_at(lm_, select_rows(hidden, row_of), tokens),
                            log_psi = twist::log_psi_at(twist_, select_rows(rows.features, row_of), tokens);
  return normalised(rows, row_of, tokens, logit, log_psi, policy_scores_at(rows, hidden, row_of, tokens),
                    hidden.scalar_type() == at::kFloat);
}

std::vector<double> TileHead::policy_scores_at(const RowScores& rows, const at::Tensor& hidden,
                                               std::span<const std::int64_t> row_of,
                                               std::span<const std::int64_t> tokens) const {
  if (kind_ != ProposalKind::policy) return {};
  std::vector<double> scores = model::logits_at(*policy_, select_rows(hidden, row_of), tokens);
  const bool is_float32 = hidden.scalar_type() == at::kFloat;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = is_float32 ? static_cast<double>(tempered(static_cast<float>(scores[i]), truncation_))
                           : tempered(scores[i], truncation_);
    if (scores[i] < rows.lowest.const_data_ptr<double>()[row_of[i] * rows.lowest.stride(0)])
      scores[i] = log_zero;
  }
  return scores;
}

}  // namespace

std::shared_ptr<const Head> make_tile_head(const HeadParts& parts) {
  return std::make_shared<TileHead>(parts);
}

}  // namespace twistor::smc
