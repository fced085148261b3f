// SPDX-License-Identifier: Apache-2.0
// The sweep of sampler.cpp for many populations at once, without ranks.
#include "twistor/smc/islands.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"
#include "weighing.hpp"

namespace twistor::smc {
namespace {

/// Particle j of island i is particle i n + j of all. What passes through the model and the heads is all of
/// theirs together; seeds, weights and resampling are each island's own.
class IslandSweeper {
 public:
  IslandSweeper(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
                std::span<const Island> islands)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        islands_(islands),
        n_(static_cast<std::size_t>(options.particles)),
        end_(problem.lm.end_rule()),
        all_(options.length, std::vector<std::int64_t>(islands.size() * n_)),
        states_(islands.size(), {0, std::log(static_cast<double>(n_))}) {}

  std::vector<Sweep> run() {
    start();
    for (std::int64_t t = 0; t < options_.length; ++t) {
      score();
      if (is_weight_of_row()) weigh_by_rows();
      if (resamples_before_draw()) {
        reduce_weights();
        if (t > 0) resample(t);
      }
      const bool is_last = t + 1 == options_.length;
      draw(t, is_last);
      if (is_last) break;
      if (!resamples_before_draw()) {
        reduce_weights();
        resample(t);
      }
      forward();
    }
    reduce_weights();
    return by_island();
  }

 private:
  struct State {
    double log_z = 0;
    double log_sum = 0;  // lse of the weights at the last reduction, log n after a resampling
    double ess = 0;
    std::int64_t pinned_id = -1;
  };

  [[nodiscard]] bool is_weight_of_row() const { return proposal_.weight_is_known_before_draw(); }
  [[nodiscard]] bool resamples_before_draw() const {
    return is_weight_of_row() && options_.order == Order::resample_first;
  }
  template <class Values>
  [[nodiscard]] auto part(Values& values, std::size_t island, std::size_t width = 1) const {
    return std::span(values).subspan(island * n_ * width, n_ * width);
  }

  void start() {
    const StageTimer timer(counters_.forward_s);
    for (std::size_t i = 0; i < islands_.size(); ++i) {
      std::ranges::fill(part(all_.node, i), static_cast<std::int64_t>(i));
      std::iota(part(all_.ids, i).begin(), part(all_.ids, i).end(), std::int64_t{0});
      if (!islands_[i].pinned.empty())
        states_[i].pinned_id = initial_pinned_slot(options_.particles, islands_[i].seed);
    }
    all_.cache = problem_.start->cache->fork();
    all_.cache->expect(all_.size(), options_.length - 1);
    all_.hidden = problem_.start->hidden.contiguous();
    all_.leaf.assign(islands_.size(), -1);
    if (options_.keep_hidden)
      hidden_ = at::empty({all_.size(), options_.length, all_.hidden.size(1)}, all_.hidden.options());
  }

  void score() {
    const StageTimer timer(counters_.heads_s);
    counters_.rows_scored += all_.hidden.size(0);
    all_.scores = proposal_.score(all_.hidden);
    all_.has_scores = true;
  }

  void weigh_by_rows() {
    const std::vector<double> log_factor = factors_of_rows(all_, end_);
    for (std::size_t i = 0; i < all_.node.size(); ++i)
      add_weight(all_.log_w[i], log_factor[static_cast<std::size_t>(all_.node[i])], all_.ids[i]);
  }

  void draw(std::int64_t t, bool is_last) {
    Branches drawn;
    {
      const StageTimer timer(counters_.heads_s);
      std::vector<double> u(all_.ids.size());
      for (std::size_t i = 0; i < islands_.size(); ++i)
        philox_uniforms(islands_[i].seed, Stream::tokens, static_cast<std::uint32_t>(t), part(all_.ids, i),
                        part(u, i));
      drawn = proposal_.branch(all_.scores, all_.hidden, all_.node, u, forced_tokens(t));
    }
    const std::vector<double> log_psi_before = carry_log_psi(drawn, all_, end_);
    if (options_.keep_hidden) hidden_.select(1, t).copy_(select_rows(all_.hidden, all_.node));
    all_.grow(drawn);
    if (is_last) {
      all_.write_out(drawn);
      const StageTimer timer(counters_.potential_s);
      log_phi_ = problem_.potential.log_phi({problem_.prompt, all_.tokens, options_.length});
    }
    weigh_tokens(drawn, log_psi_before, is_last);
    if (is_last) return;
    if (!resamples_before_draw() && options_.trigger != Trigger::never)
      all_.hidden = select_rows(all_.hidden, drawn.rows);  // so that a row goes with every node that may stay
    all_.follow(drawn);
  }

  [[nodiscard]] std::vector<std::int64_t> forced_tokens(std::int64_t t) const {
    if (islands_.front().pinned.empty()) return {};
    std::vector<std::int64_t> forced(all_.ids.size(), -1);
    for (std::size_t i = 0; i < islands_.size(); ++i)
      part(forced, i)[static_cast<std::size_t>(states_[i].pinned_id)] =
          islands_[i].pinned[static_cast<std::size_t>(t)];
    return forced;
  }

  void weigh_tokens(const Branches& drawn, std::span<const double> log_psi_before, bool is_last) {
    if (is_weight_of_row() && !is_last) return;
    for (std::size_t i = 0; i < drawn.of.size(); ++i) {
      const auto j = static_cast<std::size_t>(drawn.of[i]);
      const double log_value = is_last ? log_phi_[i] : drawn.tokens.log_psi[j];
      add_weight(all_.log_w[i],
                 factor_of_token(drawn.tokens, j, log_value, log_psi_before[j], is_weight_of_row()),
                 all_.ids[i]);
    }
  }

  void reduce_weights() {
    const StageTimer timer(counters_.resample_s);
    for (std::size_t i = 0; i < islands_.size(); ++i) {
      WeightSums sums;
      for (const double log_w : part(all_.log_w, i)) sums.add(log_w);
      const double log_sum = sums.log_sum();
      State& state = states_[i];
      state.log_z = log_sum == log_zero ? log_zero : state.log_z + log_sum - state.log_sum;
      state.log_sum = log_sum;
      state.ess = sums.ess();
    }
  }

  void resample(std::int64_t t) {
    if (options_.trigger == Trigger::never) return;
    const StageTimer timer(counters_.resample_s);
    for (std::size_t i = 0; i < islands_.size(); ++i)
      if (states_[i].log_sum != log_zero) resample_island(i, static_cast<std::uint32_t>(t));
    all_.drop_childless_nodes();
  }

  void resample_island(std::size_t i, std::uint32_t step) {
    State& state = states_[i];
    const std::span<double> log_w = part(all_.log_w, i);
    const std::span<std::int64_t> node = part(all_.node, i);
    const std::vector<double> parents_w(log_w.begin(), log_w.end());
    const std::vector<std::int64_t> parents_node(node.begin(), node.end());
    const Resampled next =
        state.pinned_id >= 0
            ? conditional_resample(options_.scheme, parents_w, state.pinned_id, islands_[i].seed, step)
            : smc::resample(options_.scheme, parents_w, islands_[i].seed, step);
    state.pinned_id = next.pinned_id;
    for (std::size_t j = 0; j < n_; ++j) {
      const std::int64_t parent = next.ancestor_of_id[j];
      node[j] = parents_node[static_cast<std::size_t>(parent)];
      log_w[j] = next.log_correction(parent, parents_w[static_cast<std::size_t>(parent)], state.log_sum);
    }
    state.log_sum = std::log(static_cast<double>(n_));
    ++counters_.resamplings;
  }

  void forward() {
    const StageTimer timer(counters_.forward_s);
    std::vector<std::int64_t> tokens;
    for (const std::int64_t leaf : all_.leaf) tokens.push_back(all_.history.leaf(leaf).token);
    all_.hidden = problem_.lm.forward(tokens, *all_.cache).select(1, 0).contiguous();
    counters_.token_forwards += static_cast<std::int64_t>(tokens.size());
    const model::CacheUse use = all_.cache->use();
    const std::int64_t blocks = (all_.cache->length() + model::block_tokens - 1) / model::block_tokens;
    counters_.peak_live_blocks = std::max(counters_.peak_live_blocks, use.live_blocks);
    counters_.dense_blocks = std::max(counters_.dense_blocks, blocks * all_.size());
  }

  [[nodiscard]] std::vector<Sweep> by_island() {
    std::vector<Sweep> out;
    const auto T = static_cast<std::size_t>(options_.length);
    for (std::size_t i = 0; i < islands_.size(); ++i) {
      const auto copy = [&](auto& values, std::size_t width, auto& to) {
        const auto from = part(values, i, width);
        to.assign(from.begin(), from.end());
      };
      std::vector<std::int64_t> ids(part(all_.ids, i).begin(), part(all_.ids, i).end());
      Sweep& sweep = out.emplace_back(Population(options_.length, std::move(ids)));
      copy(all_.tokens, T, sweep.particles.tokens);
      copy(all_.log_p0, T, sweep.particles.log_p0);
      copy(all_.log_q, T, sweep.particles.log_q);
      copy(all_.log_psi, T, sweep.particles.log_psi);
      copy(all_.log_w, 1, sweep.particles.log_w);
      copy(log_phi_, 1, sweep.log_phi);
      sweep.log_z = states_[i].log_z;
      sweep.log_weight_sum = states_[i].log_sum;
      sweep.final_ess = states_[i].ess;
      sweep.pinned_id = states_[i].pinned_id;
      const auto begin = static_cast<std::int64_t>(i * n_);
      if (options_.keep_hidden) sweep.hidden = hidden_.slice(0, begin, begin + options_.particles);
    }
    out.front().counters = counters_;
    return out;
  }

  const Problem& problem_;
  const Proposal& proposal_;
  const SweepOptions& options_;
  std::span<const Island> islands_;
  std::size_t n_;
  model::EndRule end_;
  Population all_;
  std::vector<State> states_;
  std::vector<double> log_phi_;
  at::Tensor hidden_;
  SweepCounters counters_;
};

}  // namespace

std::vector<Sweep> sweep_islands(const Problem& problem, const Proposal& proposal,
                                 const SweepOptions& options, std::span<const Island> islands) {
  TWISTOR_ASSERT(
      problem.has_start() && problem.start->cache->n_sequences() == static_cast<std::int64_t>(islands.size()),
      "every island has a sequence to begin with");
  TWISTOR_CHECK(options.prefix_weight == 0, ErrorKind::config, "starting sweeps of many observations",
                "smc.prefix_weight is for one target, and twist.condition draws many",
                "set smc.prefix_weight = 0");
  TWISTOR_CHECK(options.islands == 0, ErrorKind::config, "starting sweeps of many observations",
                "smc.islands is for one target, and twist.condition draws many", "set smc.islands = 0");
  TWISTOR_ASSERT(options.trigger != Trigger::ess && options.particles >= 1 && options.length >= 1,
                 "islands are resampled alike, and have particles and steps");
  TWISTOR_ASSERT(!options.keep_hidden || options.trigger == Trigger::never,
                 "hidden states are kept without resampling only");
  for (const Island& island : islands)
    TWISTOR_ASSERT(
        island.pinned.size() == islands.front().pinned.size() &&
            (island.pinned.empty() || static_cast<std::int64_t>(island.pinned.size()) == options.length),
        "all islands have a pinned path of T tokens, or none has");
  if (islands.empty()) return {};
  return IslandSweeper(problem, proposal, options, islands).run();
}

}  // namespace twistor::smc
