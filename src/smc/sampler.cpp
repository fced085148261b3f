// SPDX-License-Identifier: Apache-2.0
// The sweep, step by step.
#include "twistor/smc/sampler.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "archipelago.hpp"
#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "weighing.hpp"
#include "whole.hpp"

namespace twistor::smc {
namespace {

class Sweeper {
 public:
  Sweeper(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
          const comm::Communicator& comm, std::optional<std::span<const std::int64_t>> pinned,
          ConditionalLaw law)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        comm_(comm),
        pinned_(pinned),
        law_(law),
        end_(problem.lm.end_rule()),
        sizes_(first_sizes(options, comm.size())),
        out_(Population(options.length, first_ids(sizes_, comm.rank()))),
        log_sum_(std::log(static_cast<double>(options.particles))) {
    if (options.n_islands() > 0) islands_.emplace(first_islands(options, out_.particles.ids));
    if (comm.rank() == 0) whole_.emplace(options, std::ssize(problem.prompt), comm.size());
  }

  Sweep run() {
    start();
    for (std::int64_t t = 0; t < options_.length; ++t) {
      if (t > 0 && is_stopped()) return std::move(out_);
      score_nodes();
      if (is_weight_of_row()) weigh_by_rows();
      // Before the first draw all particles are one; afterwards offspring draw from their parents' rows.
      if (resamples_before_draw()) {
        const Who who = reduce_weights();
        if (t > 0) resample(who, t);
      }
      const bool is_last = t + 1 == options_.length;
      draw(t, is_last);
      if (is_last) break;
      if (!resamples_before_draw()) resample(reduce_weights(), t);
      forward(t);
    }
    finish();
    return std::move(out_);
  }

 private:
  /// Whether a rank wishes to stop. One reduction of 8 bytes, and none where nobody could.
  bool is_stopped() {
    if (!options_.wish) return false;
    out_.is_complete = comm::all_reduce_max(std::int64_t{options_.wish() ? 1 : 0}, comm_) == 0;
    return !out_.is_complete;
  }
  [[nodiscard]] bool is_weight_of_row() const { return proposal_.weight_is_known_before_draw(); }
  [[nodiscard]] bool resamples_before_draw() const {
    return is_weight_of_row() && options_.order == Order::resample_first;
  }
  /// Whether weights between steps know phi of the prefixes. Where they decide nothing it would cancel.
  [[nodiscard]] bool is_guided() const {
    return options_.prefix_weight > 0 && options_.trigger != Trigger::never && options_.length > 1;
  }
  Population& p() { return out_.particles; }

  /// All particles stand at the end of the prompt, which is read once on every rank.
  void start() {
    const StageTimer timer(out_.counters.forward_s);
    if (pinned_) out_.pinned_id = initial_pinned_slot(options_.particles, options_.seed);
    if (!problem_.has_start())
      out_.counters.token_forwards += static_cast<std::int64_t>(problem_.prompt.size());
    const std::shared_ptr<const model::Prefill> prompt = problem_.with_start().start;
    p().cache = prompt->fork(1);
    p().cache->expect(p().size(), options_.length - 1);
    p().hidden = prompt->hidden.contiguous();
    p().leaf = {-1};
    if (options_.keep_hidden)
      out_.hidden = at::empty({p().size(), options_.length, p().hidden.size(1)}, p().hidden.options());
  }

  void score_nodes() {
    const StageTimer timer(out_.counters.heads_s);
    out_.counters.rows_scored += p().hidden.size(0);
    p().scores = proposal_.score(p().hidden);
    p().has_scores = true;
  }

  void weigh_by_rows() {
    const std::vector<double> log_factor = factors_of_rows(p(), end_);
    for (std::size_t i = 0; i < p().node.size(); ++i)
      add_weight(p().log_w[i], log_factor[static_cast<std::size_t>(p().node[i])], p().ids[i]);
  }

  /// Draws s_t for every particle, and completes the weights where they depend on the token.
  void draw(std::int64_t t, bool is_last) {
    Branches drawn;
    {
      const StageTimer timer(out_.counters.heads_s);
      std::vector<double> u(p().ids.size());
      philox_uniforms(options_.seed, Stream::tokens, static_cast<std::uint32_t>(t), p().ids, u);
      drawn = proposal_.branch(p().scores, p().hidden, p().node, u, forced_tokens(t));
    }
    const std::vector<double> log_psi_before = carry_log_psi(drawn, p(), end_);
    if (options_.keep_hidden) out_.hidden.select(1, t).copy_(select_rows(p().hidden, p().node));
    p().grow(drawn);
    if (is_last) {
      p().write_out(drawn);
      evaluate_potential();
    }
    weigh_tokens(drawn, log_psi_before, is_last);
    if (is_guided()) guide(drawn, is_last);
    if (is_last) return;
    if (!resamples_before_draw() && options_.trigger != Trigger::never)
      p().hidden = select_rows(p().hidden, drawn.rows);  // so that a row goes with every node that may travel
    p().follow(drawn);
  }

  /// The pinned path's token, -1 for the other particles; empty without a pinned path.
  [[nodiscard]] std::vector<std::int64_t> forced_tokens(std::int64_t t) const {
    if (!pinned_) return {};
    const std::vector<std::int64_t>& ids = out_.particles.ids;
    std::vector<std::int64_t> forced(ids.size(), -1);
    const auto found = std::lower_bound(ids.begin(), ids.end(), out_.pinned_id);
    if (found != ids.end() && *found == out_.pinned_id)
      forced[static_cast<std::size_t>(found - ids.begin())] = (*pinned_)[static_cast<std::size_t>(t)];
    return forced;
  }

  void weigh_tokens(const Branches& drawn, std::span<const double> log_psi_before, bool is_last) {
    if (is_weight_of_row() && !is_last) return;
    for (std::size_t i = 0; i < drawn.of.size(); ++i) {
      const auto j = static_cast<std::size_t>(drawn.of[i]);
      const double log_value = is_last ? out_.log_phi[i] : drawn.tokens.log_psi[j];
      add_weight(p().log_w[i],
                 factor_of_token(drawn.tokens, j, log_value, log_psi_before[j], is_weight_of_row()),
                 p().ids[i]);
    }
  }

  /// The factor g_t / g_{t-1} of the weights, g_t being what the prefix of t tokens promises; g_0 = g_T = 1,
  /// so the product of all is 1. A text that has ended promises what it did.
  void guide(const Branches& drawn, bool is_last) {
    const std::vector<double> log_guide =
        is_last ? std::vector<double>(drawn.rows.size()) : guides_of_branches();
    for (std::size_t i = 0; i < drawn.of.size(); ++i) {
      const double now = log_guide[static_cast<std::size_t>(drawn.of[i])];
      if (std::isnan(now)) continue;
      add_weight(p().log_w[i], now - p().log_guide[i], p().ids[i]);
      p().log_guide[i] = now;
    }
  }

  /// log g_t of each prefix that was just drawn; NaN where the text had ended before.
  std::vector<double> guides_of_branches() {
    const StageTimer timer(out_.counters.potential_s);
    return prefix_guides(problem_.potential, problem_.prompt, p(), end_, options_.prefix_weight);
  }

  void evaluate_potential() {
    const StageTimer timer(out_.counters.potential_s);
    out_.log_phi = problem_.potential.log_phi({problem_.prompt, p().tokens, options_.length});
  }

  /// Who resamples.
  enum class Who { nobody, islands, all };

  /// Adds the step to log Z_hat and tells who resamples. One reduction of 64 bytes, of 128 with islands.
  Who reduce_weights() {
    const StageTimer timer(out_.counters.resample_s);
    std::array<WeightSums, 2> sums{};  // over the particles, and over the islands
    if (islands_) {
      sums = islands_->add_up(p().log_w);
      comm::all_reduce(std::span<WeightSums>(sums), comm_);
    } else {
      sums[0] = comm::all_reduce(sum_of_weights(p()), comm_);
    }
    const double log_sum = sums[0].log_sum();
    out_.log_z = log_sum == log_zero ? log_zero : out_.log_z + log_sum - log_sum_;
    log_sum_ = log_sum;
    out_.ess.push_back(sums[0].ess());
    out_.unique_ancestors.push_back(options_.particles);  // unless a resampling follows
    n_childless_.push_back(0);
    if (log_sum == log_zero || options_.trigger == Trigger::never) return Who::nobody;
    const auto asks = [&](const WeightSums& of, std::int64_t n) {
      return of.ess() < options_.ess_threshold * static_cast<double>(n);
    };
    if (islands_) return asks(sums[1], options_.n_islands()) ? Who::all : Who::islands;
    return options_.trigger == Trigger::every_step || asks(sums[0], options_.particles) ? Who::all
                                                                                        : Who::nobody;
  }

  /// Offspring take their parents' places.
  void resample(Who who, std::int64_t t) {
    if (who == Who::nobody) return;
    const StageTimer timer(out_.counters.resample_s);
    if (who == Who::all)
      move_offspring(t);
    else if (!resample_islands(t))
      return;
    p().drop_childless_nodes();
  }

  /// Each island by itself, with its share of the weight; nothing is sent. Whether one has done so here.
  bool resample_islands(std::int64_t t) {
    const auto step = static_cast<std::uint32_t>(t);
    const auto draw = [&](std::int32_t island, std::span<const double> log_w, std::int64_t pinned) {
      const std::uint64_t seed = derive_seed(options_.seed, Stream::part, static_cast<std::uint64_t>(island));
      return pinned >= 0 ? law_(options_.scheme, log_w, pinned, seed, step)
                         : smc::resample(options_.scheme, log_w, seed, step);
    };
    Archipelago::Outcome done = islands_->resample(p(), out_.pinned_id, options_, draw);
    out_.counters.island_resamplings += done.n_resampled;
    n_childless_.back() = done.n_childless;
    if (options_.keep_ancestors) {
      const auto ids = comm::all_gather(std::span<const std::int64_t>(p().ids), comm_),
                 ancestors = comm::all_gather(std::span<const std::int64_t>(done.ancestor_ids), comm_);
      std::vector<std::int64_t> ancestor_of_id(ids.size());
      for (std::size_t i = 0; i < ids.size(); ++i)
        ancestor_of_id[static_cast<std::size_t>(ids[i])] = ancestors[i];
      if (ids != ancestors) keep_ancestors(t, std::move(ancestor_of_id));
    }
    return done.n_resampled > 0;
  }

  /// Only the rank where the pinned path lives knows where an island has put it.
  void agree_on_pinned_id() {
    if (!islands_ || !pinned_) return;
    const bool is_here = std::ranges::binary_search(p().ids, out_.pinned_id);
    out_.pinned_id = comm::all_reduce_max(is_here ? out_.pinned_id : std::int64_t{-1}, comm_);
  }

  /// Weights of the whole population in the order of ids, on the first rank; elsewhere nothing.
  [[nodiscard]] std::vector<double> gather_weights() const {
    std::vector<double> by_rank =
        comm::gather_v(std::span<const double>(out_.particles.log_w), sizes_, 0, comm_);
    return whole_ ? whole_->census.by_id(std::move(by_rank)) : by_rank;
  }

  /// The first rank draws ancestors, places offspring and tells all; those that change rank are exchanged.
  void move_offspring(std::int64_t t) {
    agree_on_pinned_id();
    const std::vector<double> log_w = gather_weights();
    const Assignment mine = deliver(whole_ ? draw_ancestors(log_w, t) : std::vector<Assignment>{}, comm_);
    const ExchangeCount moved = exchange(p(), mine, comm_);
    for (std::size_t i = 0; i < p().log_w.size(); ++i)
      p().log_w[i] =
          mine.weights.empty() ? 0 : log_correction(mine.weights[i], mine.total, p().log_w[i], log_sum_);
    log_sum_ = std::log(static_cast<double>(options_.particles));
    if (islands_) islands_->settle(mine.islands);
    out_.pinned_id = mine.pinned_id;
    out_.unique_ancestors.back() = mine.n_survivors;
    if (options_.keep_ancestors) {
      if (!whole_) keep_ancestors(t, std::vector<std::int64_t>(static_cast<std::size_t>(options_.particles)));
      comm::broadcast(std::span(out_.resamplings.back().ancestor_of_id), 0, comm_);
    }
    out_.counters.resamplings += comm_.rank() == 0 ? 1 : 0;  // a fact of the population, counted once
    out_.counters.moved_copies += moved.moved_copies;
    out_.counters.sent_messages += moved.sent_messages;
    out_.counters.sent_bytes += moved.sent_bytes;
  }

  /// What the ranks are told, on the first. // (P)
  std::vector<Assignment> draw_ancestors(std::span<const double> log_w, std::int64_t t) {
    const auto step = static_cast<std::uint32_t>(t);
    Resampled next = pinned_ ? law_(options_.scheme, log_w, out_.pinned_id, options_.seed, step)
                             : smc::resample(options_.scheme, log_w, options_.seed, step);
    whole_->genealogy.resampled(options_.scheme, next.ancestor_of_id, out_.ess.back());
    std::vector<Assignment> told = whole_->census.resampled(next);
    if (options_.keep_ancestors) keep_ancestors(t, std::move(next.ancestor_of_id));
    return told;
  }
  void keep_ancestors(std::int64_t t, std::vector<std::int64_t> ancestor_of_id) {
    out_.resamplings.push_back({resamples_before_draw() ? t : t + 1, std::move(ancestor_of_id)});
  }

  /// One forward pass over the unique prefixes after s_t.
  void forward(std::int64_t t) {
    const StageTimer timer(out_.counters.forward_s);
    if (whole_) whole_->census.grown_to(static_cast<std::int64_t>(problem_.prompt.size()) + t + 1);
    if (p().leaf.empty()) return;  // a rank without particles
    std::vector<std::int64_t> tokens;
    for (const std::int64_t leaf : p().leaf) tokens.push_back(p().history.leaf(leaf).token);
    p().hidden = problem_.lm.forward(tokens, *p().cache).select(1, 0).contiguous();
    out_.counters.token_forwards += static_cast<std::int64_t>(tokens.size());
    const model::CacheUse use = p().cache->use();
    out_.counters.peak_live_blocks = std::max(out_.counters.peak_live_blocks, use.live_blocks);
    const std::int64_t blocks = (p().cache->length() + model::block_tokens - 1) / model::block_tokens;
    out_.counters.dense_blocks = std::max(out_.counters.dense_blocks, blocks * p().size());
  }

  void finish() {
    reduce_weights();
    out_.log_weight_sum = log_sum_;
    out_.final_ess = out_.ess.back();
    if (islands_) return finish_islands();
    const std::vector<double> log_w = gather_weights();
    std::array<double, 2> found{};
    if (whole_)
      found = {static_cast<double>(whole_->genealogy.n_founders()), whole_->genealogy.log_z_variance(log_w)};
    comm::broadcast(std::span<double>(found), 0, comm_);
    out_.n_founders = static_cast<std::int64_t>(found[0]);
    out_.log_z_variance = found[1];
  }

  /// What the first rank has not followed: founders, and survivors of islands.
  void finish_islands() {
    agree_on_pinned_id();
    std::vector<std::int64_t> founders =
        comm::gather_v(std::span<const std::int64_t>(p().founder), sizes_, 0, comm_);
    std::ranges::sort(founders);
    const auto n = std::ranges::unique(founders).begin() - founders.begin();
    out_.n_founders = comm::broadcast_value(static_cast<std::int64_t>(n), comm_);
    out_.log_z_variance = std::numeric_limits<double>::quiet_NaN();
    comm::all_reduce_sum(std::span<std::int64_t>(n_childless_), comm_);
    for (std::size_t i = 0; i < n_childless_.size(); ++i) out_.unique_ancestors[i] -= n_childless_[i];
  }

  const Problem& problem_;
  const Proposal& proposal_;
  const SweepOptions& options_;
  const comm::Communicator& comm_;
  std::optional<std::span<const std::int64_t>> pinned_;
  ConditionalLaw law_;
  model::EndRule end_;
  std::vector<std::int64_t> sizes_;  // (P) particles of each rank, which stay as many
  std::optional<Whole> whole_;       // on the first rank
  std::optional<Archipelago> islands_;
  std::vector<std::int64_t> n_childless_;  // on this rank, by themselves, as Sweep::ess
  Sweep out_;
  double log_sum_;  // lse of the weights at the last reduction, log K after a resampling
};

}  // namespace

Sweep sweep(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
            const comm::Communicator& comm, std::optional<std::span<const std::int64_t>> pinned,
            ConditionalLaw law) {
  TWISTOR_CHECK(!problem.prompt.empty(), ErrorKind::usage, "starting a sweep", "the prompt is empty",
                "give prompt.text or prompt.ids at least one token");
  const auto total = static_cast<std::int64_t>(problem.prompt.size()) + options.length;
  TWISTOR_CHECK(total <= problem.lm.context_length() + 1, ErrorKind::usage, "starting a sweep",
                fmt::format("prompt and target.length need {} tokens, the model's context has {}", total,
                            problem.lm.context_length()),
                "shorten the prompt or target.length");
  TWISTOR_ASSERT(options.particles >= 1 && options.length >= 1, "a sweep needs particles and steps");
  TWISTOR_ASSERT(!options.keep_hidden || options.trigger == Trigger::never,
                 "hidden states are kept without resampling only");
  TWISTOR_ASSERT(!pinned || static_cast<std::int64_t>(pinned->size()) == options.length,
                 "a pinned path has T tokens");
  return Sweeper(problem, proposal, options, comm, pinned, law).run();
}

}  // namespace twistor::smc
