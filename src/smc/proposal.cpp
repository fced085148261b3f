// Scoring rows over the vocabulary in tiles, and drawing from them.
#include "twistor/smc/proposal.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/gather.hpp"
#include "twistor/model/vocabulary.hpp"

namespace twistor::smc {
namespace {

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

/// A particle whose token lies in a block, and what is left of its uniform number there.
struct Drawer {
  std::int64_t block = 0, row = 0;
  std::size_t particle = 0;
  double u = 0;
};

/// Who draws, in the order of blocks and rows. Tokens of the others: as forced, or 0 for rows without weight,
/// where the particle is dead whatever it draws.
std::vector<Drawer> choose_blocks(const RowScores& rows, std::span<const std::int64_t> row_of,
                                  std::span<const double> u, std::span<const std::int64_t> forced,
                                  std::span<std::int64_t> tokens) {
  std::vector<Drawer> out;
  for (std::size_t i = 0; i < row_of.size(); ++i) {
    const double log_sum = rows.log_sum_q[static_cast<std::size_t>(row_of[i])];
    tokens[i] = std::max<std::int64_t>(forced[i], 0);
    if (forced[i] >= 0 || log_sum == log_zero) continue;
    const model::BlockDraw draw = model::draw_block(rows.blocks_of(row_of[i]), log_sum, u[i]);
    out.push_back({draw.block, row_of[i], i, draw.u});
  }
  std::ranges::sort(out, {}, [](const Drawer& d) { return std::tuple(d.block, d.row, d.particle); });
  return out;
}

}  // namespace

void RowScores::append(const RowScores& other) {
  log_sum_p0.insert(log_sum_p0.end(), other.log_sum_p0.begin(), other.log_sum_p0.end());
  log_sum_q.insert(log_sum_q.end(), other.log_sum_q.begin(), other.log_sum_q.end());
  features = at::cat({features, other.features});
  block_log_sums.insert(block_log_sums.end(), other.block_log_sums.begin(), other.block_log_sums.end());
}

void RowScores::select(std::span<const std::int64_t> rows) {
  const auto pick = [&](const std::vector<double>& x) {
    std::vector<double> out;
    for (const std::int64_t r : rows) out.push_back(x[static_cast<std::size_t>(r)]);
    return out;
  };
  std::vector<double> blocks;
  for (const std::int64_t r : rows) {
    const std::span<const double> row = blocks_of(r);
    blocks.insert(blocks.end(), row.begin(), row.end());
  }
  block_log_sums = std::move(blocks);
  log_sum_p0 = pick(log_sum_p0);
  log_sum_q = pick(log_sum_q);
  features = select_rows(features, rows);
}

std::span<const double> RowScores::blocks_of(std::int64_t row) const {
  const std::size_t width = block_log_sums.size() / log_sum_q.size();
  return std::span(block_log_sums).subspan(static_cast<std::size_t>(row) * width, width);
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

void Proposal::score_tile(const at::Tensor& hidden, const at::Tensor& features, std::int64_t v_begin,
                          std::int64_t v_end, at::Tensor& logits, at::Tensor& scores) const {
  lm_.logits(hidden, v_begin, v_end, logits);
  if (kind_ == ProposalKind::base) {
    scores = logits;
    return;
  }
  twist_.log_psi(features, v_begin, v_end, scores);
  const auto add = hidden.scalar_type() == at::kDouble ? &add_logits<double> : &add_logits<float>;
  add(logits, scores, beta_, v_end - v_begin);
}

RowScores Proposal::score(const at::Tensor& hidden) const {
  const std::int64_t n = hidden.size(0), n_blocks = model::n_vocabulary_blocks(lm_.vocab_size());
  RowScores rows;
  rows.features = twist_.features(hidden);
  rows.block_log_sums.resize(static_cast<std::size_t>(n * n_blocks));
  std::vector<double> blocks_p0(rows.block_log_sums.size());
  for (std::int64_t begin = 0; begin < n; begin += rows_at_once) {
    const std::int64_t end = std::min(n, begin + rows_at_once);
    const auto part = [&](std::vector<double>& sums) {
      return std::span(sums).subspan(static_cast<std::size_t>(begin * n_blocks));
    };
    sum_rows(hidden.slice(0, begin, end), rows.features.slice(0, begin, end), part(blocks_p0),
             part(rows.block_log_sums));
  }
  if (kind_ == ProposalKind::base) rows.block_log_sums = blocks_p0;
  for (std::int64_t r = 0; r < n; ++r) {
    const auto row = [&](const std::vector<double>& sums) {
      return log_sum_exp(std::span(sums).subspan(static_cast<std::size_t>(r * n_blocks),
                                                 static_cast<std::size_t>(n_blocks)));
    };
    rows.log_sum_p0.push_back(row(blocks_p0));
    rows.log_sum_q.push_back(row(rows.block_log_sums));
  }
  return rows;
}

void Proposal::sum_rows(const at::Tensor& hidden, const at::Tensor& features, std::span<double> blocks_p0,
                        std::span<double> blocks_q) const {
  const std::int64_t n = hidden.size(0), v = lm_.vocab_size(), n_blocks = model::n_vocabulary_blocks(v);
  at::Tensor logits = at::empty({n, std::min(v, tile_columns)}, hidden.options()),
             scores = at::empty_like(logits);
  const auto sum = hidden.scalar_type() == at::kDouble ? &sum_tile<double> : &sum_tile<float>;
  for (std::int64_t begin = 0; begin < v; begin += tile_columns) {
    const std::int64_t end = std::min(v, begin + tile_columns), first = begin / model::vocabulary_block;
    score_tile(hidden, features, begin, end, logits, scores);
    sum(logits, end - begin, first, n_blocks, blocks_p0);
    if (kind_ != ProposalKind::base) sum(scores, end - begin, first, n_blocks, blocks_q);
  }
}

Draws Proposal::draw(const RowScores& rows, const at::Tensor& hidden, std::span<const std::int64_t> row_of,
                     std::span<const double> u, std::span<const std::int64_t> forced) const {
  std::vector<std::int64_t> tokens(row_of.size());
  const std::vector<Drawer> drawers = choose_blocks(rows, row_of, u, forced, tokens);
  for (std::size_t first = 0, next = 0; first < drawers.size(); first = next) {
    const std::int64_t block = drawers[first].block;
    std::vector<std::int64_t> distinct;  // rows that are drawn from in this block
    std::vector<std::int64_t> place;     // of each drawer's row among them
    for (; next < drawers.size() && drawers[next].block == block; ++next) {
      if (distinct.empty() || distinct.back() != drawers[next].row) distinct.push_back(drawers[next].row);
      place.push_back(static_cast<std::int64_t>(distinct.size()) - 1);
    }
    const std::int64_t begin = block * model::vocabulary_block,
                       width = std::min(model::vocabulary_block, lm_.vocab_size() - begin);
    at::Tensor logits = at::empty({static_cast<std::int64_t>(distinct.size()), width}, hidden.options()),
               scores = at::empty_like(logits);
    score_tile(select_rows(hidden, distinct), select_rows(rows.features, distinct), begin, begin + width,
               logits, scores);
    for (std::size_t i = first; i < next; ++i) {
      const double log_sum = rows.blocks_of(drawers[i].row)[static_cast<std::size_t>(block)];
      const auto from = [&](auto real) {
        return model::draw_token(row_of_tensor<decltype(real)>(scores, place[i - first], width), log_sum,
                                 drawers[i].u);
      };
      tokens[drawers[i].particle] =
          begin + (scores.scalar_type() == at::kDouble ? from(double{}) : from(float{}));
    }
  }
  Draws draws = score_tokens(rows, hidden, row_of, tokens);
  draws.tokens = std::move(tokens);
  return draws;
}

Draws Proposal::score_tokens(const RowScores& rows, const at::Tensor& hidden,
                             std::span<const std::int64_t> row_of,
                             std::span<const std::int64_t> tokens) const {
  const std::vector<double> logit = model::logits_at(lm_, select_rows(hidden, row_of), tokens);
  Draws out{{tokens.begin(), tokens.end()},
            {},
            {},
            twist::log_psi_at(twist_, select_rows(rows.features, row_of), tokens)};
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
