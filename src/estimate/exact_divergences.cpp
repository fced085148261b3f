// SPDX-License-Identifier: Apache-2.0
// Enumeration of q: depth-first over chunks of prefixes, as exact/enumeration.cpp goes through p0.
#include "twistor/estimate/exact_divergences.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/base/reproducible_sum.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

constexpr std::int64_t pairs_at_once = 8192;  // (prefix, token) pairs that are scored together

/// Prefixes of t tokens that are expanded together.
struct Prefixes {
  std::unique_ptr<model::Cache> cache;
  at::Tensor hidden;                  // (n, D)
  std::vector<std::int64_t> tokens;   // (n, t)
  std::vector<double> log_p0, log_q;  // (n)
  [[nodiscard]] std::size_t size() const { return log_p0.size(); }
};

class Summer {
 public:
  Summer(const smc::Problem& problem, const smc::Proposal& proposal, std::int64_t length, double log_z)
      : problem_(problem), proposal_(proposal), V_(problem.lm.vocab_size()), T_(length), log_z_(log_z) {}

  /// Adds all sequences that begin with a token of [begin, end).
  void add(std::int64_t begin, std::int64_t end) {
    const auto start = problem_.with_start().start;
    expand({start->fork(1), start->hidden.contiguous(), {}, {0.0}, {0.0}}, 0, begin, end);
  }

  /// Of all ranks. *Collective over world.*
  ExactDivergences sums(const comm::Communicator& world) {
    comm::all_reduce(std::span(sums_), world);
    const auto is_any = [&](bool here) {
      return comm::all_reduce_max(std::int64_t{here ? 1 : 0}, world) != 0;
    };
    const bool forbidden = is_any(draws_forbidden_), impossible = is_any(draws_impossible_),
               cut = is_any(is_support_cut_);
    return {.f_q = forbidden || impossible ? log_zero : sums_[f].value(),
            .g_q = cut ? -log_zero : sums_[g].value(),
            .log_phi = forbidden ? log_zero : sums_[phi].value(),
            .kl_q_p0 = impossible ? -log_zero : sums_[kl].value(),
            .mass = sums_[mass].value(),
            .n_sequences = static_cast<double>(comm::all_reduce_sum(n_sequences_, world))};
  }

 private:
  enum Sum : std::size_t { f, g, phi, kl, mass, n_sums };

  /// Goes through everything below these prefixes whose next token lies in [begin, end).
  void expand(const Prefixes& prefixes, std::int64_t t, std::int64_t begin, std::int64_t end) {
    const smc::RowScores rows = proposal_.score(prefixes.hidden);
    const std::int64_t n_pairs = static_cast<std::int64_t>(prefixes.size()) * (end - begin);
    const bool is_last = t + 1 == T_;
    // A forward takes a bounded number of children, and they are done with before more are made.
    const std::int64_t n_together =
        is_last ? pairs_at_once : std::clamp<std::int64_t>((1 << 17) / V_, 1, 1024);
    for (std::int64_t first = 0; first < n_pairs; first += n_together) {
      std::vector<std::int64_t> parents, tokens;
      for (std::int64_t j = first; j < std::min(n_pairs, first + n_together); ++j) {
        parents.push_back(j / (end - begin));
        tokens.push_back(begin + j % (end - begin));
      }
      Prefixes children = continued(
          prefixes, t, proposal_.score_tokens(rows, prefixes.hidden, parents, tokens), parents, tokens);
      if (tokens.empty()) continue;
      if (is_last) {
        weigh(children);
        continue;
      }
      children.cache = prefixes.cache->fork();
      children.cache->select(parents);
      children.hidden = problem_.lm.forward(tokens, *children.cache).select(1, 0).contiguous();
      expand(children, t + 1, 0, V_);
    }
  }

  /// The prefixes with one more token; pairs of p0 = 0 are struck from both lists.
  Prefixes continued(const Prefixes& prefixes, std::int64_t t, const smc::Draws& scored,
                     std::vector<std::int64_t>& parents, std::vector<std::int64_t>& tokens) {
    Prefixes out;
    std::size_t n = 0;
    for (std::size_t j = 0; j < tokens.size(); ++j) {
      const auto parent = static_cast<std::size_t>(parents[j]);
      if (!(scored.log_p0[j] > log_zero)) {
        draws_impossible_ |= std::exp(prefixes.log_q[parent] + scored.log_q[j]) > 0;
        continue;
      }
      const auto begin = prefixes.tokens.begin() + parents[j] * t;
      out.tokens.insert(out.tokens.end(), begin, begin + t);
      out.tokens.push_back(tokens[j]);
      out.log_p0.push_back(prefixes.log_p0[parent] + scored.log_p0[j]);
      out.log_q.push_back(prefixes.log_q[parent] + scored.log_q[j]);
      parents[n] = parents[j];
      tokens[n++] = tokens[j];
    }
    parents.resize(n);
    tokens.resize(n);
    return out;
  }

  void weigh(const Prefixes& leaves) {
    const auto log_phi = problem_.potential.log_phi({problem_.prompt, leaves.tokens, T_});
    n_sequences_ += static_cast<std::int64_t>(leaves.size());
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      const double log_q = leaves.log_q[i], log_p0 = leaves.log_p0[i], q = std::exp(log_q);
      sums_[mass].add(q);
      sums_[kl].add(q > 0 ? q * (log_q - log_p0) : 0.0);
      if (log_phi[i] == log_zero) {
        draws_forbidden_ |= q > 0;
        continue;
      }
      if (log_q == log_zero) {
        is_support_cut_ = true;
        continue;
      }
      const double ratio = log_p0 + log_phi[i] - log_q;
      sums_[f].add(q > 0 ? q * ratio : 0.0);
      sums_[phi].add(q * log_phi[i]);
      sums_[g].add(std::exp(log_p0 + log_phi[i] - log_z_) * ratio);
    }
  }

  const smc::Problem& problem_;
  const smc::Proposal& proposal_;
  std::int64_t V_, T_;
  double log_z_;
  std::array<FixedPointSum, n_sums> sums_{};
  std::int64_t n_sequences_ = 0;
  bool draws_forbidden_ = false;   // where phi = 0
  bool draws_impossible_ = false;  // where p0 = 0
  bool is_support_cut_ = false;    // q = 0 where sigma is not
};

/// First tokens that one rank takes at a time: enough sequences for a batch, and something for every rank.
std::int64_t tokens_of_a_turn(std::int64_t V, std::int64_t T, std::int64_t n_ranks) {
  constexpr double enough = 4096;
  const double below = std::pow(static_cast<double>(V), static_cast<double>(T - 1));
  const auto n = static_cast<std::int64_t>(std::ceil(enough / below));
  return std::clamp<std::int64_t>(n, 1, (V + n_ranks - 1) / n_ranks);
}

}  // namespace

std::optional<ExactDivergences> enumerate_divergences(const smc::Problem& problem,
                                                      const smc::Proposal& proposal, std::int64_t length,
                                                      double log_z, const comm::Communicator& world,
                                                      const Steering& steering) {
  const std::int64_t V = problem.lm.vocab_size(), n = tokens_of_a_turn(V, length, world.size());
  Summer summer(problem, proposal, length, log_z);
  for (std::int64_t turn = 0; turn < V; turn += n * world.size()) {
    steering.observe("first tokens (enumeration of q)", turn, V);
    if (is_interrupted(steering.interrupt)) return std::nullopt;
    const std::int64_t begin = turn + n * world.rank(), end = std::min(V, begin + n);
    if (begin < end) summer.add(begin, end);
  }
  return summer.sums(world);
}

}  // namespace twistor::estimate
