// SPDX-License-Identifier: Apache-2.0
// What a run would cost on many ranks: a short calibration here, counts of what ranks would exchange, and
// assumptions about the network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "twistor/run/scale_options.hpp"
#include "twistor/run/session.hpp"
#include "twistor/smc/rank_simulator.hpp"

namespace twistor::run {

/// A duration and what it rests on.
struct Timed {
  std::int64_t n = 0;  ///< particles, or samples, that were measured
  double seconds = 0;  ///< extrapolated where they are fewer than the share
};

/// One sweep of K particles, seconds.
struct SweepForecast {
  std::int64_t particles = 0, share = 0, length = 0;  ///< K; of the rank with most; T
  Timed compute{};                                    ///< forward passes, heads, phi and draws of the share
  Timed alone{};            ///< the same with resampling of the share among itself: a rank without others
  smc::RankCounts moves{};  ///< of a simulated sweep
  double population_s = 0, collectives_s = 0, moves_s = 0;
  [[nodiscard]] double seconds() const { return compute.seconds + population_s + collectives_s + moves_s; }
  /// What the share costs a rank alone, of what it costs among all.
  [[nodiscard]] double efficiency() const { return alone.seconds / seconds(); }
};

/// One update, seconds.
struct UpdateForecast {
  std::int64_t ranks = 0;    ///< that compute gradients: min(P, train.shards)
  std::int64_t samples = 0;  ///< of one of them, of q
  double compute_s = 0;
  std::int64_t parameter_bytes = 0;
  double collectives_s = 0;
  [[nodiscard]] double seconds() const { return compute_s + collectives_s; }
};

/// Bytes of a rank.
struct MemoryForecast {
  std::int64_t resident = 0;    ///< of this process with model and twist, measured
  std::int64_t particles = 0;   ///< at the most
  std::int64_t population = 0;  ///< tables over all K particles
};

struct ScaleForecast {
  ScaleOptions options{};
  std::int64_t ranks_here = 1;
  SweepForecast sweep{};
  std::optional<UpdateForecast> update{};
  std::string no_update{};  ///< why there is none
  MemoryForecast memory{};
  std::optional<double> measured_sweep_s{}, measured_update_s{};
};

/// The network's part, from counts: a reduction or gather of n bytes in ceil(log2 P) messages one after the
/// other, what each rank receives at its bandwidth; resampling's messages by the busiest rank. *Local.*
void add_network(SweepForecast& sweep, const ScaleOptions& options);
void add_network(UpdateForecast& update, std::int64_t n_reductions, const ScaleOptions& options);

/// Calibrates on every rank at once, each by itself, and takes the slowest: start as many as a node will
/// have. With options.check the same work is then done by all ranks together. *Collective over the world.*
/// Throws Error(config) on what it cannot forecast, or on a check with another number of ranks.
[[nodiscard]] ScaleForecast forecast(Session& session, const ScaleOptions& options);

/// For people. *Local.*
[[nodiscard]] std::string scale_text(const ScaleForecast& forecast);

}  // namespace twistor::run
