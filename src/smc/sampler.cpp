// The sweep, step by step.
#include "twistor/smc/sampler.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::smc {
namespace {

/// Weights of the whole population in the order of ids. *Collective over comm*: one gather.
std::vector<double> gather_by_id(std::span<const double> local, const Layout& layout,
                                 const comm::Communicator& comm) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < layout.n_ranks(); ++r) counts.push_back(layout.size_of(r));
  const std::vector<double> by_rank = comm::all_gather_v(local, counts, comm);
  std::vector<std::size_t> next(counts.size());
  for (std::size_t r = 1; r < counts.size(); ++r)
    next[r] = next[r - 1] + static_cast<std::size_t>(counts[r - 1]);
  std::vector<double> by_id(by_rank.size());
  for (std::size_t id = 0; id < by_id.size(); ++id)
    by_id[id] = by_rank[next[static_cast<std::size_t>(layout.rank_of(static_cast<std::int64_t>(id)))]++];
  return by_id;
}

class Sweeper {
 public:
  Sweeper(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
          const comm::Communicator& comm, std::optional<std::span<const std::int64_t>> pinned)
      : problem_(problem),
        proposal_(proposal),
        options_(options),
        comm_(comm),
        pinned_(pinned),
        end_(problem.lm.end_rule()),
        layout_(options.n_shards > 0 ? Layout::sharded(options.particles, options.n_shards, comm.size())
                                     : Layout::blocks(options.particles, comm.size())),
        names_(options.particles, static_cast<std::int64_t>(problem.prompt.size())),
        genealogy_(options.particles),
        out_(Population(options.length, layout_.ids_of(comm.rank()))),
        log_sum_(std::log(static_cast<double>(options.particles))) {}

  Sweep run() {
    start();
    for (std::int64_t t = 0; t < options_.length; ++t) {
      if (t > 0 && is_stopped()) return std::move(out_);
      RowScores rows = score_nodes();
      if (is_weight_of_row()) weigh_by_rows(rows, t);
      // Before the first draw all particles are one; afterwards offspring draw from their parents' rows.
      if (resamples_before_draw() && reduce_weights() && t > 0) resample(t, &rows);
      draw(rows, t);
      if (t + 1 == options_.length) break;
      if (!resamples_before_draw() && reduce_weights()) resample(t, nullptr);
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
  Population& p() { return out_.particles; }
  [[nodiscard]] bool is_pinned(std::int64_t i) const {
    return pinned_ && out_.particles.ids[static_cast<std::size_t>(i)] == out_.pinned_id;
  }

  /// Whether the text had ended before s_t: then s_t is the end token again, psi stays what it was, and the
  /// step leaves the weight alone.
  [[nodiscard]] bool has_ended(std::int64_t i, std::int64_t t) const {
    return end_.can_end() &&
           end_.has_ended(std::span(out_.particles.tokens).subspan(out_.particles.at(i, 0)), t);
  }

  /// The prompt, once on every rank; all particles stand at its end.
  void start() {
    const StageTimer timer(out_.counters.forward_s);
    if (pinned_) out_.pinned_id = initial_pinned_slot(options_.particles, options_.seed);
    p().cache = problem_.lm.make_cache(1);
    p().hidden = problem_.lm.forward(problem_.prompt, *p().cache)
                     .select(1, static_cast<std::int64_t>(problem_.prompt.size()) - 1)
                     .contiguous();
    out_.counters.token_forwards += static_cast<std::int64_t>(problem_.prompt.size());
    if (options_.keep_hidden)
      out_.hidden = at::empty({p().size(), options_.length, p().hidden.size(1)}, p().hidden.options());
  }

  RowScores score_nodes() {
    const StageTimer timer(out_.counters.heads_s);
    out_.counters.rows_scored += p().hidden.size(0);
    return proposal_.score(p().hidden);
  }

  /// log w_t = log Zq_t - log psi_{t-1}: all of the step's weight but, at T, the last factor phi / psi_T.
  void weigh_by_rows(const RowScores& rows, std::int64_t t) {
    for (std::int64_t i = 0; i < p().size(); ++i) {
      if (has_ended(i, t)) continue;
      const auto row = static_cast<std::size_t>(p().node[static_cast<std::size_t>(i)]);
      add_weight(i, rows.log_sum_q[row] - rows.log_sum_p0[row] - log_psi_before(i, t));
    }
  }

  [[nodiscard]] double log_psi_before(std::int64_t i, std::int64_t t) const {
    return t == 0 ? 0.0 : out_.particles.log_psi[out_.particles.at(i, t - 1)];
  }

  void add_weight(std::int64_t i, double log_factor) {
    double& w = p().log_w[static_cast<std::size_t>(i)];
    if (w == log_zero) return;  // dead stays dead, also where the factor is undefined
    w += log_factor;
    TWISTOR_CHECK(!std::isnan(w) && w != -log_zero, ErrorKind::internal, "weighing particles",
                  fmt::format("the log weight of particle {} is {}", p().ids[static_cast<std::size_t>(i)], w),
                  "the twist's parameters or the potential are not finite; lower train.learning_rate");
  }

  /// Draws s_t for every particle, and completes the weights where they depend on the token.
  void draw(const RowScores& rows, std::int64_t t) {
    Draws draws;
    {
      const StageTimer timer(out_.counters.heads_s);
      std::vector<double> u(p().ids.size());
      std::vector<std::int64_t> forced(p().ids.size(), -1);
      for (std::size_t i = 0; i < u.size(); ++i) {
        u[i] = Philox(options_.seed, Stream::tokens, static_cast<std::uint32_t>(t),
                      static_cast<std::uint64_t>(p().ids[i]))
                   .uniform();
        if (is_pinned(static_cast<std::int64_t>(i))) forced[i] = (*pinned_)[static_cast<std::size_t>(t)];
      }
      draws = proposal_.draw(rows, p().hidden, p().node, u, forced);
    }
    for (std::int64_t i = 0; i < p().size(); ++i) {
      const auto from = static_cast<std::size_t>(i);
      const std::size_t to = p().at(i, t);
      p().tokens[to] = draws.tokens[from];
      p().log_p0[to] = draws.log_p0[from];
      p().log_q[to] = draws.log_q[from];
      p().log_psi[to] = has_ended(i, t) ? log_psi_before(i, t) : draws.log_psi[from];
    }
    if (options_.keep_hidden) out_.hidden.select(1, t).copy_(select_rows(p().hidden, p().node));
    if (t + 1 == options_.length) evaluate_potential();
    for (std::int64_t i = 0; i < p().size(); ++i) {
      const std::size_t at = p().at(i, t);
      const bool is_last = t + 1 == options_.length;
      const double log_value = is_last ? out_.log_phi[static_cast<std::size_t>(i)] : p().log_psi[at];
      if (!is_weight_of_row()) {
        add_weight(i, p().log_p0[at] - p().log_q[at] + log_value - log_psi_before(i, t));
      } else if (is_last) {
        add_weight(i, log_value - p().log_psi[at]);
      }
    }
  }

  void evaluate_potential() {
    const StageTimer timer(out_.counters.potential_s);
    out_.log_phi = problem_.potential.log_phi({problem_.prompt, p().tokens, options_.length});
  }

  /// Adds the step to log Z_hat and tells whether to resample. One reduction of 64 bytes.
  bool reduce_weights() {
    const StageTimer timer(out_.counters.resample_s);
    WeightSums local;
    for (const double w : p().log_w) local.add(w);
    const WeightSums sums = comm::all_reduce(local, comm_);
    const double log_sum = sums.log_sum();
    out_.log_z = log_sum == log_zero ? log_zero : out_.log_z + log_sum - log_sum_;
    log_sum_ = log_sum;
    out_.ess.push_back(sums.ess());
    if (log_sum == log_zero || options_.trigger == Trigger::never) return false;
    return options_.trigger == Trigger::every_step ||
           sums.ess() < options_.ess_threshold * static_cast<double>(options_.particles);
  }

  /// Offspring take their parents' places. `rows`, the scores of the nodes before, follow: only nodes that
  /// arrive from other ranks are scored here again.
  void resample(std::int64_t t, RowScores* rows) {
    move_offspring(t);
    if (rows != nullptr && p().hidden.size(0) > rows->size()) {
      const StageTimer timer(out_.counters.heads_s);
      const at::Tensor arrived = p().hidden.slice(0, rows->size());
      out_.counters.rows_scored += arrived.size(0);
      rows->append(proposal_.score(arrived));
    }
    const std::vector<std::int64_t> kept = drop_childless_nodes();
    if (rows != nullptr) rows->select(kept);
  }

  /// Draws ancestors, places offspring and exchanges those that change rank.
  void move_offspring(std::int64_t t) {
    const StageTimer timer(out_.counters.resample_s);
    const std::vector<double> log_w = gather_by_id(p().log_w, layout_, comm_);
    const auto step = static_cast<std::uint32_t>(t);
    Resampled next = pinned_
                         ? conditional_resample(options_.scheme, log_w, out_.pinned_id, options_.seed, step)
                         : smc::resample(options_.scheme, log_w, options_.seed, step);
    out_.pinned_id = next.pinned_id;
    Placement placement = plan(next.ancestor_of_id, layout_);
    const ExchangeCount moved = exchange(p(), next.ancestor_of_id, layout_, placement, names_, comm_);
    names_.resampled(next.ancestor_of_id);
    genealogy_.resampled(options_.scheme, next.ancestor_of_id, out_.ess.back());
    layout_ = std::move(placement.after);
    log_sum_ = std::log(static_cast<double>(options_.particles));
    if (comm_.rank() == 0) {  // facts of the population, counted once
      ++out_.counters.resamplings;
      out_.counters.moved_copies += moved.moved_copies;
    }
    out_.counters.sent_messages += moved.sent_messages;
    out_.counters.sent_bytes += moved.sent_bytes;
  }

  /// Nodes that no particle points to are forgotten. Returns the old indices of the others, in their new
  /// order.
  std::vector<std::int64_t> drop_childless_nodes() {
    const StageTimer timer(out_.counters.resample_s);
    std::vector<std::int64_t> kept;
    std::vector<std::int64_t> new_index(static_cast<std::size_t>(p().hidden.size(0)), -1);
    for (std::int64_t& node : p().node) {
      auto& index = new_index[static_cast<std::size_t>(node)];
      if (index < 0) {
        index = static_cast<std::int64_t>(kept.size());
        kept.push_back(node);
      }
      node = index;
    }
    p().cache->select(kept);
    p().hidden = select_rows(p().hidden, kept);
    return kept;
  }

  /// One forward pass over the unique prefixes after s_t.
  void forward(std::int64_t t) {
    const StageTimer timer(out_.counters.forward_s);
    std::unordered_map<std::int64_t, std::int64_t> nodes;  // parent and token -> new node
    nodes.reserve(static_cast<std::size_t>(p().size()));
    std::vector<std::int64_t> parents, tokens;
    for (std::int64_t i = 0; i < p().size(); ++i) {
      auto& node = p().node[static_cast<std::size_t>(i)];
      const std::int64_t token = p().tokens[p().at(i, t)];
      const auto [found, is_new] = nodes.try_emplace(node * problem_.lm.vocab_size() + token,
                                                     static_cast<std::int64_t>(parents.size()));
      if (is_new) {
        parents.push_back(node);
        tokens.push_back(token);
      }
      node = found->second;
    }
    p().cache->select(parents);
    if (parents.empty()) return;  // a rank without particles
    p().hidden = problem_.lm.forward(tokens, *p().cache).select(1, 0).contiguous();
    names_.grown_to(static_cast<std::int64_t>(problem_.prompt.size()) + t + 1);
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
    out_.unique_ancestors.assign(genealogy_.n_survivors().begin(), genealogy_.n_survivors().end());
    out_.n_founders = genealogy_.n_founders();
    out_.log_z_variance = genealogy_.log_z_variance(gather_by_id(p().log_w, layout_, comm_));
  }

  const Problem& problem_;
  const Proposal& proposal_;
  const SweepOptions& options_;
  const comm::Communicator& comm_;
  std::optional<std::span<const std::int64_t>> pinned_;
  model::EndRule end_;
  Layout layout_;
  BlockNames names_;
  Genealogy genealogy_;
  Sweep out_;
  double log_sum_;  // lse of the weights at the last reduction, log K after a resampling
};

}  // namespace

Sweep sweep(const Problem& problem, const Proposal& proposal, const SweepOptions& options,
            const comm::Communicator& comm, std::optional<std::span<const std::int64_t>> pinned) {
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
  return Sweeper(problem, proposal, options, comm, pinned).run();
}

}  // namespace twistor::smc
