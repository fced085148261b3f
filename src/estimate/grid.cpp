// SPDX-License-Identifier: Apache-2.0
// Pieces of a grid, and what they come to.
#include "twistor/estimate/grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/estimate/observations.hpp"

namespace twistor::estimate {
namespace {

exact::Source part_of_seed(const exact::Source& all, std::size_t seed, std::size_t n_seeds) {
  const auto j = static_cast<std::int64_t>(seed), n = static_cast<std::int64_t>(n_seeds);
  if (all.n < n) return all;
  return {(all.n + n - 1 - j) / n, [&all, j, n](std::int64_t i) { return all.sample(j + n * i); }};
}

/// Pieces by number: bounds by point and sampler, then enumerations by sampler.
class GridPieces {
 public:
  GridPieces(const Grid& grid, std::span<const Sampler> samplers, const GridWork& work,
             const comm::Communicator& group)
      : grid_(grid), samplers_(samplers), work_(work), alone_(comm::make_groups(group, 0)) {}

  [[nodiscard]] std::vector<double> costs() const {
    std::vector<double> out;
    const EvaluationOptions& each = work_.each;
    for (std::int64_t p = 0; p < grid_.size(); ++p)
      out.insert(out.end(), samplers_.size(),
                 4.0 * static_cast<double>(each.repeats) * static_cast<double>(particles(index(p))) +
                     2.0 * static_cast<double>(n_samples(index(p))));
    const double n_all = std::pow(static_cast<double>(samplers_.front().problem.lm.vocab_size()),
                                  static_cast<double>(each.sweep.length));
    if (each.enumerate) out.insert(out.end(), samplers_.size(), n_all);
    return out;
  }

  /// *Collective over the group.*
  std::optional<std::vector<double>> run(std::int64_t piece, const Steering& steering, Counters& counters) {
    const Sampler& sampler = samplers_[index(piece) % samplers_.size()];
    Steering named = steering;
    named.observer = [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
      steering.observe(fmt::format("{}, {}", sampler.name, what), done, wanted);
    };
    if (const std::size_t point = index(piece) / samplers_.size(); point < index(grid_.size()))
      return bounds(sampler, point, named, counters);
    Findings found;
    found.exact = enumerate_divergences(sampler.problem, sampler.proposal, work_.each.sweep.length,
                                        work_.each.known.exact_log_z, alone_.group, named);
    if (!found.exact) return std::nullopt;
    return to_numbers(found);
  }

  /// From all pieces, with each evaluation's own log Z. *Local.*
  [[nodiscard]] Evaluation evaluation(const Pieces& found, std::size_t point, std::size_t s) const {
    const auto findings = [&](std::size_t piece) {
      return findings_from_numbers(found.at(static_cast<std::int64_t>(piece)));
    };
    const std::size_t seed = point % grid_.seeds.size(), n = samplers_.size();
    Findings all = findings(point * n + s);
    if (point != seed) {  // what the first K has measured of q
      Findings first = findings(seed * n + s);
      all.q = std::move(first.q);
      all.g = std::move(first.g);
    }
    if (work_.each.enumerate) all.exact = findings(index(grid_.size()) * n + s).exact;
    KnownTarget known = work_.each.known;
    known.n_exact = part_of_seed(work_.exact, seed, grid_.seeds.size()).n;
    known.may_cut_support = samplers_[s].proposal.may_cut_support();
    Evaluation e = make_evaluation(all, known);
    e.update = samplers_[s].update;
    return e;
  }

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] std::int64_t particles(std::size_t point) const {
    return grid_.particles[point / grid_.seeds.size()];
  }
  [[nodiscard]] std::int64_t n_samples(std::size_t point) const {
    return point < grid_.seeds.size() ? work_.each.samples : 0;
  }

  std::optional<std::vector<double>> bounds(const Sampler& sampler, std::size_t point,
                                            const Steering& steering, Counters& counters) {
    const std::size_t seed = point % grid_.seeds.size();
    EvaluationOptions each = work_.each;
    each.sweep.particles = particles(point);
    each.sweep.seed = grid_.seeds[seed];
    each.sweep.trigger = sampler.trigger;
    each.samples = n_samples(point);
    each.trace = each.enumerate = false;
    each.save = {};
    each.steering = steering;
    Findings found;
    const std::optional<Evaluation> e =
        evaluate(sampler.problem, sampler.proposal, each, part_of_seed(work_.exact, seed, grid_.seeds.size()),
                 alone_.group, alone_, found);
    if (!e) return std::nullopt;
    counters.add(e->counters);
    return to_numbers(found);
  }

  const Grid& grid_;
  std::span<const Sampler> samplers_;
  const GridWork& work_;
  comm::Groups alone_;  // the ranks of the group, as one
};

/// Least squares through points (x, y).
double slope_of(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n,
               mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return xy / xx;
}

}  // namespace

Grid make_grid(const GridOptions& options, std::int64_t particles, std::uint64_t seed) {
  Grid grid{options.particles, {options.seeds.begin(), options.seeds.end()}};
  if (grid.particles.empty()) grid.particles = {particles};
  if (grid.seeds.empty()) grid.seeds = {seed};
  return grid;
}

std::int64_t n_sequences(const Grid& grid, const Options& options, std::int64_t n_exact) {
  const auto n_seeds = static_cast<std::int64_t>(grid.seeds.size());
  Options bounds_alone = options;
  bounds_alone.samples = 0;
  std::int64_t n = 2 * options.samples * n_seeds;
  for (const std::int64_t K : grid.particles) n += n_seeds * bounds_alone.n_sequences(K, n_exact);
  return n;
}

std::int64_t n_pieces(const Grid& grid, std::size_t n_samplers, bool is_enumerated) {
  return (grid.size() + (is_enumerated ? 1 : 0)) * static_cast<std::int64_t>(n_samplers);
}

std::optional<std::vector<std::vector<Evaluation>>> evaluate_grid(
    const Grid& grid, std::span<const Sampler> samplers, const GridWork& work,
    const comm::Communicator& world, const comm::Groups& groups, Pieces& found, Counters& counters) {
  TWISTOR_ASSERT(grid.size() > 0 && !samplers.empty(), "a grid has points and samplers");
  counters.add(smc::SweepCounters{});  // a rank that gets no piece counts the same things
  GridPieces pieces(grid, samplers, work, groups.group);
  const std::vector<double> costs = pieces.costs();
  const Deal deal{"evaluations", costs,
                  [&](std::int64_t i, const Steering& steering) { return pieces.run(i, steering, counters); },
                  work.save};
  if (!deal_out(deal, world, groups, work.each.steering, found)) return std::nullopt;
  std::vector<std::vector<Evaluation>> out(static_cast<std::size_t>(grid.size()));
  for (std::size_t p = 0; p < out.size(); ++p)
    for (std::size_t s = 0; s < samplers.size(); ++s) out[p].push_back(pieces.evaluation(found, p, s));
  for (std::size_t j = 0; j < grid.seeds.size(); ++j) {
    std::vector<Evaluation*> of_seed;
    for (std::size_t p = j; p < out.size(); p += grid.seeds.size())
      for (Evaluation& e : out[p]) of_seed.push_back(&e);
    share_log_z(of_seed);
  }
  return out;
}

Evaluation mean_over_seeds(const std::vector<Evaluation>& all) {
  Evaluation out = all.size() > 1 ? mean_over(all, &Evaluation::seeds) : all.front();
  out.seeds = static_cast<std::int64_t>(all.size());
  const LogZ& first = all.front().log_z;
  const bool is_common = std::ranges::all_of(all, [&](const Evaluation& e) {
    return e.log_z.method == first.method && e.log_z.value == first.value && e.log_z.se == first.se;
  });
  if (is_common) out.log_z = first;  // enumeration's and rejection's do not depend on seeds
  return out;
}

Estimate power_law(std::span<const double> x, const std::vector<std::vector<double>>& y) {
  TWISTOR_ASSERT(x.size() == y.size(), "a row of values for each x");
  std::vector<std::size_t> seeds;
  for (std::size_t j = 0; !y.empty() && j < y.front().size(); ++j)
    if (std::ranges::all_of(y, [j](const auto& row) { return std::isfinite(row[j]); })) seeds.push_back(j);
  const auto n = static_cast<double>(seeds.size());
  std::vector<std::size_t> points;
  std::vector<double> log_x, sums;
  for (std::size_t i = 0; i < y.size(); ++i) {
    double sum = 0;
    for (const std::size_t j : seeds) sum += y[i][j];
    if (!(sum > 0)) continue;
    points.push_back(i);
    log_x.push_back(std::log(x[i]));
    sums.push_back(sum);
  }
  if (points.size() < 2) return {};
  const auto slope_without = [&](std::size_t left_out) {  // seeds.size(): nobody
    std::vector<double> log_y;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const bool is_whole = left_out == seeds.size();
      log_y.push_back(std::log((sums[i] - (is_whole ? 0 : y[points[i]][seeds[left_out]])) /
                               (is_whole ? n : n - 1)));  // NaN where what is left is negative
    }
    return slope_of(log_x, log_y);
  };
  Estimate out{slope_without(seeds.size()), nan, static_cast<std::int64_t>(seeds.size())};
  if (seeds.size() < 2) return out;
  std::vector<double> slopes;
  for (std::size_t j = 0; j < seeds.size(); ++j) slopes.push_back(slope_without(j));
  const double mean = std::accumulate(slopes.begin(), slopes.end(), 0.0) / n;
  double squares = 0;
  for (const double slope : slopes) squares += (slope - mean) * (slope - mean);
  out.se = std::sqrt(squares * (n - 1) / n);
  if (!std::isfinite(out.se)) out.se = nan;
  return out;
}

}  // namespace twistor::estimate
