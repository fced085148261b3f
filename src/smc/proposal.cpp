// Scoring rows over the vocabulary in tiles, and drawing from them.
#include "twistor/smc/proposal.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/parallel.hpp"
#include "twistor/model/gather.hpp"
#include "twistor/model/vocabulary.hpp"

namespace twistor::smc {

/// A particle whose token lies in a block, and what is left of its uniform number there.
struct Proposal::Drawer {
  std::int64_t block = 0, row = 0;
  std::size_t particle = 0;
  double u = 0;
};

namespace {

using Drawer = Proposal::Drawer;

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

/// body(i) for i in [0, n), in pieces of many: a particle's work is too small to be handed out by itself.
template <class Body>
void for_each_particle(std::size_t n, const Body& body) {
  constexpr std::size_t piece = 1024;
  const auto n_pieces = static_cast<std::int64_t>((n + piece - 1) / piece);
  parallel_for(n_pieces, n_pieces > 1, [&](std::int64_t number) {
    const std::size_t begin = static_cast<std::size_t>(number) * piece;
    for (std::size_t i = begin; i < std::min(n, begin + piece); ++i) body(i);
  });
}

/// Stable, by a key in [0, n_keys), without comparisons.
template <class Key>
std::vector<Drawer> sorted_by(const std::vector<Drawer>& in, std::int64_t n_keys, const Key& key) {
  std::vector<std::size_t> place(static_cast<std::size_t>(n_keys) + 1);
  for (const Drawer& d : in) ++place[static_cast<std::size_t>(key(d)) + 1];
  std::partial_sum(place.begin(), place.end(), place.begin());
  std::vector<Drawer> out(in.size());
  for (const Drawer& d : in) out[place[static_cast<std::size_t>(key(d))]++] = d;
  return out;
}

/// Who draws, in the order of blocks, rows and particles. Tokens of the others: as forced, or 0 for rows
/// without weight, where the particle is dead whatever it draws.
std::vector<Drawer> choose_blocks(const RowScores& rows, std::span<const std::int64_t> row_of,
                                  std::span<const double> u, std::span<const std::int64_t> forced,
                                  std::span<std::int64_t> tokens) {
  const auto draws = [&](std::size_t i) {
    return forced[i] < 0 && rows.log_sum_q[static_cast<std::size_t>(row_of[i])] != log_zero;
  };
  std::vector<char> is_asked(rows.log_sum_q.size());
  for (std::size_t i = 0; i < row_of.size(); ++i)
    if (draws(i)) is_asked[static_cast<std::size_t>(row_of[i])] = 1;
  std::vector<model::TokenCdf> blocks(is_asked.size());
  for_each_particle(blocks.size(), [&](std::size_t r) {
    if (is_asked[r] != 0)
      blocks[r] = model::TokenCdf(rows.blocks_of(static_cast<std::int64_t>(r)), rows.log_sum_q[r]);
  });
  std::vector<Drawer> all(row_of.size());
  for_each_particle(all.size(), [&](std::size_t i) {
    tokens[i] = std::max<std::int64_t>(forced[i], 0);
    all[i].row = -1;
    if (!draws(i)) return;
    const auto r = static_cast<std::size_t>(row_of[i]);
    const model::BlockDraw draw =
        model::draw_block(blocks[r], rows.blocks_of(row_of[i]), rows.log_sum_q[r], u[i]);
    all[i] = {draw.block, row_of[i], i, draw.u};
  });
  std::erase_if(all, [](const Drawer& d) { return d.row < 0; });
  if (all.empty()) return all;
  const auto n_blocks = static_cast<std::int64_t>(rows.blocks_of(0).size());
  all = sorted_by(all, rows.size(), [](const Drawer& d) { return d.row; });
  return sorted_by(all, n_blocks, [](const Drawer& d) { return d.block; });
}

/// Rows with a token each, every pair once, and the pair of each particle.
struct Pairs {
  explicit Pairs(std::size_t n) : of(n, -1) {}
  void add(std::int64_t row, std::int64_t token) {
    rows.push_back(row);
    tokens.push_back(token);
  }
  [[nodiscard]] std::int64_t last() const { return static_cast<std::int64_t>(rows.size()) - 1; }
  std::vector<std::int64_t> rows, tokens, of;
};

/// The particles of one block share the pairs of their rows. drawn: tokens within the block.
void add_pairs(std::span<const Drawer> drawers, std::span<const std::int64_t> drawn, std::int64_t block_begin,
               Pairs& pairs) {
  std::array<std::int64_t, static_cast<std::size_t>(model::vocabulary_block)> pair_of{};
  for (std::size_t i = 0; i < drawers.size(); ++i) {
    if (i == 0 || drawers[i].row != drawers[i - 1].row) pair_of.fill(-1);
    std::int64_t& pair = pair_of[static_cast<std::size_t>(drawn[i])];
    if (pair < 0) {
      pairs.add(drawers[i].row, block_begin + drawn[i]);
      pair = pairs.last();
    }
    pairs.of[drawers[i].particle] = pair;
  }
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
  Pairs pairs(row_of.size());
  for (std::size_t first = 0, next = 0; first < drawers.size(); first = next) {
    while (next < drawers.size() && drawers[next].block == drawers[first].block) ++next;
    const std::span<const Drawer> part = std::span(drawers).subspan(first, next - first);
    const std::int64_t begin = part[0].block * model::vocabulary_block;
    const std::vector<std::int64_t> drawn = draw_in_block(rows, hidden, part);
    for (std::size_t i = 0; i < part.size(); ++i) tokens[part[i].particle] = begin + drawn[i];
    add_pairs(part, drawn, begin, pairs);
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (pairs.of[i] >= 0) continue;
    pairs.add(row_of[i], tokens[i]);
    pairs.of[i] = pairs.last();
  }
  const Draws of_pairs = score_tokens(rows, hidden, pairs.rows, pairs.tokens);
  Draws draws{std::move(tokens), {}, {}, {}};
  for (const auto member : {&Draws::log_p0, &Draws::log_q, &Draws::log_psi}) {
    (draws.*member).resize(row_of.size());
    for_each_particle(row_of.size(), [&](std::size_t i) {
      (draws.*member)[i] = (of_pairs.*member)[static_cast<std::size_t>(pairs.of[i])];
    });
  }
  return draws;
}

std::vector<std::int64_t> Proposal::draw_in_block(const RowScores& rows, const at::Tensor& hidden,
                                                  std::span<const Drawer> drawers) const {
  const std::int64_t block = drawers[0].block, begin = block * model::vocabulary_block,
                     width = std::min(model::vocabulary_block, lm_.vocab_size() - begin);
  std::vector<std::int64_t> distinct;  // rows that are drawn from
  std::vector<std::size_t> place;      // of each drawer's row among them
  for (const Drawer& d : drawers) {
    if (distinct.empty() || distinct.back() != d.row) distinct.push_back(d.row);
    place.push_back(distinct.size() - 1);
  }
  at::Tensor logits = at::empty({static_cast<std::int64_t>(distinct.size()), width}, hidden.options()),
             scores = at::empty_like(logits);
  score_tile(select_rows(hidden, distinct), select_rows(rows.features, distinct), begin, begin + width,
             logits, scores);
  std::vector<model::TokenCdf> cdf(distinct.size());
  const bool is_double = scores.scalar_type() == at::kDouble;
  parallel_for(static_cast<std::int64_t>(cdf.size()), cdf.size() > 16, [&](std::int64_t r) {
    const auto i = static_cast<std::size_t>(r);
    const double log_sum = rows.blocks_of(distinct[i])[static_cast<std::size_t>(block)];
    cdf[i] = is_double ? model::TokenCdf(row_of_tensor<double>(scores, r, width), log_sum)
                       : model::TokenCdf(row_of_tensor<float>(scores, r, width), log_sum);
  });
  std::vector<std::int64_t> drawn(drawers.size());
  for_each_particle(drawn.size(), [&](std::size_t i) { drawn[i] = cdf[place[i]].draw(drawers[i].u); });
  return drawn;
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
