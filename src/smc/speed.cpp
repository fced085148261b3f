// SPDX-License-Identifier: Apache-2.0
// Timing a short sweep.
#include "twistor/smc/speed.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/potential/potential.hpp"

namespace twistor::smc {
namespace {

/// phi = 1: the sweep is timed without it.
class One final : public potential::Potential {
 public:
  [[nodiscard]] std::vector<double> log_phi(const potential::Sequences& sequences) const override {
    return std::vector<double>(static_cast<std::size_t>(sequences.size()), 0.0);
  }
  [[nodiscard]] double log_phi_bound() const override { return 0; }
  [[nodiscard]] std::string description() const override { return "1"; }
};

}  // namespace

Speed measure_speed(const Problem& problem, const Proposal& proposal, const SweepOptions& full,
                    bool is_phi_timed, const comm::Communicator& world, const comm::Groups& groups) {
  constexpr std::int64_t most_tokens = 8, particles_of_a_rank = 16;
  constexpr double enough_s = 0.05;
  const comm::Communicator& group = groups.group;
  SweepOptions options = full;
  options.trigger = Trigger::never;
  options.length = std::min(options.length, most_tokens);
  options.particles = std::min(options.particles, particles_of_a_rank * group.size());
  const One one;
  // The first sweep of a small model is all beginnings (memory that is touched, caches that fill): it is done
  // again, with more particles up to those of the run, until one takes long enough to tell.
  double sweep_s = 0;
  std::optional<Sweep> done;
  for (int n_sweeps = 1;; ++n_sweeps) {
    const Stopwatch watch;
    done = smc::sweep({problem.lm, problem.prompt, one, problem.start}, proposal, options, group);
    sweep_s = comm::all_reduce_max(watch.seconds(), world);
    if (sweep_s >= enough_s || (n_sweeps > 1 && options.particles == full.particles)) break;
    options.particles = std::min(full.particles, 4 * options.particles);
  }
  // phi of T tokens: those of the sweep, again and again.
  const std::int64_t n = done->particles.size(), T = full.length;
  std::vector<std::int64_t> tokens;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = 0; t < T; ++t)
      tokens.push_back(
          done->particles.tokens[static_cast<std::size_t>(i * options.length + t % options.length)]);
  const Stopwatch of_phi;
  if (is_phi_timed && n > 0) (void)problem.potential.log_phi({problem.prompt, tokens, T});
  const double phi_s = comm::all_reduce_max(of_phi.seconds(), world);
  const auto in_all =
      static_cast<double>(options.particles * world.size()) / static_cast<double>(group.size());
  return {in_all * static_cast<double>(options.length) / sweep_s,
          is_phi_timed ? std::optional(phi_s / in_all) : std::nullopt};
}

}  // namespace twistor::smc
