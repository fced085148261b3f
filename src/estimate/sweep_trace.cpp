// SPDX-License-Identifier: Apache-2.0
// The sweep to look at, and its particles from all ranks.
#include "twistor/estimate/sweep_trace.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "twistor/base/log_space.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

constexpr std::size_t n_of_particle = 3, n_of_token = 3;

/// Particle i as it travels: id, log phi, log of its share, and of each token id, log psi and log w.
void pack_particle(const smc::Sweep& sweep, std::int64_t i, std::vector<double>& out) {
  const smc::Population& p = sweep.particles;
  const auto at = static_cast<std::size_t>(i);
  out.push_back(static_cast<double>(p.ids[at]));
  out.push_back(sweep.log_phi[at]);
  out.push_back(sweep.log_z == log_zero ? log_zero : p.log_w[at] - sweep.log_weight_sum);
  double log_before = 0;
  for (std::int64_t t = 0; t < p.T; ++t) {
    const std::size_t place = p.at(i, t);
    const double log_value = t + 1 == p.T ? sweep.log_phi[at] : p.log_psi[place];
    out.push_back(static_cast<double>(p.tokens[place]));
    out.push_back(p.log_psi[place]);
    out.push_back(p.log_p0[place] - p.log_q[place] + log_value - log_before);
    log_before = p.log_psi[place];
  }
}

}  // namespace

std::optional<SweepTrace> trace_sweep(const smc::Problem& problem, const smc::Proposal& proposal,
                                      smc::SweepOptions options, const Interrupt& wish,
                                      const comm::Communicator& world) {
  options.particles = std::min(options.particles, most_traced);
  options.seed = derive_seed(options.seed, Stream::trace, 0);
  options.keep_ancestors = true;
  options.wish = wish;
  smc::Sweep sweep = smc::sweep(problem, proposal, options, world);
  if (!sweep.is_complete) return std::nullopt;
  std::vector<double> mine;
  for (std::int64_t i = 0; i < sweep.particles.size(); ++i) pack_particle(sweep, i, mine);
  const std::vector<double> all = comm::all_gather(std::span<const double>(mine), world);

  SweepTrace out;
  out.K = options.particles;
  out.T = options.length;
  out.resamplings = std::move(sweep.resamplings);
  const std::size_t stride = n_of_particle + n_of_token * static_cast<std::size_t>(out.T);
  std::vector<std::span<const double>> rows;
  for (std::size_t at = 0; at < all.size(); at += stride) rows.push_back(std::span(all).subspan(at, stride));
  std::ranges::sort(rows, {}, [](std::span<const double> row) { return row[0]; });
  for (const std::span<const double> row : rows) {
    out.log_phi.push_back(row[1]);
    out.log_weight.push_back(row[2]);
    for (std::size_t at = n_of_particle; at < stride; at += n_of_token) {
      out.tokens.push_back(static_cast<std::int64_t>(row[at]));
      out.log_psi.push_back(row[at + 1]);
      out.log_increment.push_back(row[at + 2]);
    }
  }
  return out;
}

}  // namespace twistor::estimate
