// SPDX-License-Identifier: Apache-2.0
// A complete particle filter on a tabular Markov chain, small enough to know Z exactly: the stage for
// resampling tests.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/smc/genealogy.hpp"
#include "twistor/smc/scheme.hpp"

namespace twistor::test {

/// p(s_1) prod p(s_t | s_{t-1}) on V states, with weights g_t(s_t): Z = E[prod_t g_t(s_t)], sigma ∝ p prod g.
struct ToyChain {
  int V;
  int T;
  std::vector<double> initial;     // (V)
  std::vector<double> transition;  // (V, V) rows sum to 1
  std::vector<double> g;           // (T, V)

  [[nodiscard]] double weight(int t, int state) const { return g[static_cast<std::size_t>(t * V + state)]; }
  [[nodiscard]] std::span<const double> row(int state) const {
    return std::span(transition).subspan(static_cast<std::size_t>(state * V), static_cast<std::size_t>(V));
  }
};

/// Random tables; log g is normal with the given standard deviation, so larger `spread` means rougher
/// weights. A state stays what it is with at least the probability `memory`: the longer the memory, the more
/// a wrong ancestor shows.
inline ToyChain make_toy_chain(int V, int T, double spread, double memory, std::uint64_t seed) {
  Philox random(seed, Stream::test, 0, 0);
  auto simplex = [&](std::vector<double>& out) {
    std::vector<double> p(static_cast<std::size_t>(V));
    double sum = 0;
    for (double& x : p) sum += x = -std::log(random.uniform());
    for (const double x : p) out.push_back(x / sum);
  };
  ToyChain chain{V, T, {}, {}, {}};
  simplex(chain.initial);
  for (int s = 0; s < V; ++s) simplex(chain.transition);
  for (double& p : chain.transition) p *= 1 - memory;
  for (int s = 0; s < V; ++s) chain.transition[static_cast<std::size_t>(s * V + s)] += memory;
  for (int i = 0; i < T * V; ++i) chain.g.push_back(std::exp(spread * random.normal()));
  return chain;
}

inline int draw_index(std::span<const double> p, double u) {
  int i = 0;
  for (double sum = p[0]; sum <= u && i + 1 < static_cast<int>(p.size());)
    sum += p[static_cast<std::size_t>(++i)];
  return i;
}

/// ahead[t * V + s] = E[prod_{t' > t} g_{t'} | s_t = s], with t from 0.
inline std::vector<double> look_ahead(const ToyChain& c) {
  std::vector<double> ahead(c.g.size(), 1.0);
  for (int t = c.T - 2; t >= 0; --t)
    for (int s = 0; s < c.V; ++s) {
      double sum = 0;
      for (int v = 0; v < c.V; ++v)
        sum += c.row(s)[static_cast<std::size_t>(v)] * c.weight(t + 1, v) *
               ahead[static_cast<std::size_t>((t + 1) * c.V + v)];
      ahead[static_cast<std::size_t>(t * c.V + s)] = sum;
    }
  return ahead;
}

inline double exact_z(const ToyChain& c) {
  const std::vector<double> ahead = look_ahead(c);
  double z = 0;
  for (int s = 0; s < c.V; ++s)
    z += c.initial[static_cast<std::size_t>(s)] * c.weight(0, s) * ahead[static_cast<std::size_t>(s)];
  return z;
}

/// An exact sample of sigma. `ahead` is look_ahead(c).
inline std::vector<int> exact_path(const ToyChain& c, std::span<const double> ahead, Philox& random) {
  std::vector<int> path;
  std::vector<double> p(static_cast<std::size_t>(c.V));
  for (int t = 0; t < c.T; ++t) {
    const std::span<const double> prior = t == 0 ? std::span<const double>(c.initial) : c.row(path.back());
    double sum = 0;
    for (int s = 0; s < c.V; ++s) {
      const auto i = static_cast<std::size_t>(s);
      sum += p[i] = prior[i] * c.weight(t, s) * ahead[static_cast<std::size_t>(t * c.V + s)];
    }
    for (double& x : p) x /= sum;
    path.push_back(draw_index(p, random.uniform()));
  }
  return path;
}

/// What a sweep calls after weighing; `pinned` is -1 in the plain form.
using Resampler = std::function<smc::Resampled(std::span<const double> log_w, std::int64_t pinned,
                                               std::uint64_t seed, std::uint32_t step)>;

/// The library's own forms of a scheme.
inline Resampler library_resampler(smc::SchemeKind kind) {
  return [kind](std::span<const double> log_w, std::int64_t pinned, std::uint64_t seed, std::uint32_t step) {
    return pinned < 0 ? smc::resample(kind, log_w, seed, step)
                      : smc::conditional_resample(kind, log_w, pinned, seed, step);
  };
}

struct ToyRun {
  double log_z = 0;
  std::vector<double> log_w;  // (K) final
  smc::Genealogy genealogy;
};

/// The pinned path and the slot where it starts; slot -1: none.
struct Pin {
  std::vector<int> path = {};
  std::int64_t slot = -1;
};

/// One sweep: draw, weigh, and before the next draw resample if ESS < ess_threshold * K (above 1: at every
/// step). The genealogy counts resamplings as those of the scheme `counted_as`.
inline ToyRun run_toy(const ToyChain& c, std::int64_t K, double ess_threshold, std::uint64_t seed,
                      const Resampler& resampler, const Pin& pin = {},
                      smc::SchemeKind counted_as = smc::SchemeKind::multinomial) {
  ToyRun run{0, std::vector<double>(static_cast<std::size_t>(K), 0.0), smc::Genealogy(K)};
  std::vector<int> state(static_cast<std::size_t>(K), -1), parents(state);
  std::int64_t pinned = pin.slot;
  double previous = std::log(static_cast<double>(K));
  for (int t = 0; t < c.T; ++t) {
    for (std::int64_t id = 0; id < K; ++id) {
      const auto i = static_cast<std::size_t>(id);
      const std::span<const double> prior = t == 0 ? std::span<const double>(c.initial) : c.row(state[i]);
      const double u = Philox(seed, Stream::tokens, static_cast<std::uint32_t>(t), i).uniform();
      state[i] = id == pinned ? pin.path[static_cast<std::size_t>(t)] : draw_index(prior, u);
      run.log_w[i] += std::log(c.weight(t, state[i]));
    }
    const double total = log_sum_exp(run.log_w);
    run.log_z += total - previous;
    previous = total;
    const double ess = effective_sample_size(run.log_w);
    if (t + 1 == c.T || ess >= ess_threshold * static_cast<double>(K)) continue;
    const smc::Resampled next = resampler(run.log_w, pinned, seed, static_cast<std::uint32_t>(t));
    parents = state;
    for (std::size_t i = 0; i < state.size(); ++i)
      state[i] = parents[static_cast<std::size_t>(next.ancestor_of_id[i])];
    run.genealogy.resampled(counted_as, next.ancestor_of_id, ess);
    pinned = next.pinned_id;
    run.log_w.assign(run.log_w.size(), 0.0);
    previous = std::log(static_cast<double>(K));
  }
  return run;
}

/// Mean and standard error of `n` repeats of f(i).
struct Average {
  double mean = 0;
  double se = 0;
  /// How many standard errors the mean lies from `x`.
  [[nodiscard]] double distance(double x) const { return std::abs(mean - x) / se; }
};

template <class F>
Average average(int n, F f) {
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double x = f(i);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / n;
  return {mean, std::sqrt((squares / n - mean * mean) / (n - 1))};
}

/// Z_hat / Z over n plain sweeps: 1 on average if the resampler is right.
inline Average average_z_hat(const ToyChain& c, std::int64_t K, double ess_threshold, int n,
                             const Resampler& r) {
  const double z = exact_z(c);
  return average(n, [&](int i) {
    const std::uint64_t seed = derive_seed(1, Stream::repeat, static_cast<std::uint64_t>(i));
    return std::exp(run_toy(c, K, ess_threshold, seed, r).log_z) / z;
  });
}

/// Z / Z_hat over n conditional sweeps: 1 on average if the conditional form is right. The pinned path starts
/// in `first_slot`, or in a uniform one if that is -1.
inline Average average_inverse_z_hat(const ToyChain& c, std::int64_t K, double ess_threshold, int n,
                                     const Resampler& r, std::int64_t first_slot = -1) {
  const double z = exact_z(c);
  const std::vector<double> ahead = look_ahead(c);
  return average(n, [&](int i) {
    const std::uint64_t seed = derive_seed(2, Stream::repeat, static_cast<std::uint64_t>(i));
    Philox random(seed, Stream::exact_tokens, 0, 0);
    const Pin pin{exact_path(c, ahead, random),
                  first_slot < 0 ? smc::initial_pinned_slot(K, seed) : first_slot};
    return z / std::exp(run_toy(c, K, ess_threshold, seed, r, pin).log_z);
  });
}

}  // namespace twistor::test
