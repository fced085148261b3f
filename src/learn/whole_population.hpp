// SPDX-License-Identifier: Apache-2.0
// A population as all ranks know it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "twistor/comm/collectives.hpp"
#include "twistor/comm/communicator.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::learn {

/// The particles of all ranks in the order of their ids, with the weights that they have had since the last
/// resampling. The same on every rank. Making one is *collective over world*.
class WholePopulation {
 public:
  struct Particle {
    std::span<const std::int64_t> tokens;  ///< (T)
    double log_phi = 0, log_w = 0;
  };

  WholePopulation(const smc::Sweep& sweep, std::int64_t length, const comm::Communicator& world) {
    const smc::Population& p = sweep.particles;
    const auto all = [&](const auto& values) { return comm::all_gather(std::span(values), world); };
    const std::vector<std::int64_t> ids = all(p.ids);
    const std::vector<double> log_phi = all(sweep.log_phi), log_w = all(p.log_w);
    tokens_ = all(p.tokens);
    particles.resize(ids.size());
    const auto T = static_cast<std::size_t>(length);
    for (std::size_t i = 0; i < ids.size(); ++i)
      particles[static_cast<std::size_t>(ids[i])] = {std::span(tokens_).subspan(i * T, T), log_phi[i],
                                                     log_w[i]};
  }
  WholePopulation(const WholePopulation&) = delete;
  WholePopulation& operator=(const WholePopulation&) = delete;

  /// The tokens of one of them, drawn by the weights, of which one must be above zero.
  [[nodiscard]] std::vector<std::int64_t> choose(std::uint64_t seed) const {
    std::vector<double> log_w;
    for (const Particle& particle : particles) log_w.push_back(particle.log_w);
    const std::vector<std::int64_t> drawn =
        smc::ancestors(smc::SchemeKind::multinomial, log_w, derive_seed(seed, Stream::next_pin, 0), 0);
    const std::span<const std::int64_t> chosen = particles[static_cast<std::size_t>(drawn.front())].tokens;
    return {chosen.begin(), chosen.end()};
  }

  std::vector<Particle> particles;

 private:
  std::vector<std::int64_t> tokens_;
};

}  // namespace twistor::learn
