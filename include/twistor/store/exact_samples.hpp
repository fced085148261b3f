// SPDX-License-Identifier: Apache-2.0
// Sets of exact samples of sigma, shared by all methods and seeds: evaluation i of every method uses sample
// i.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "twistor/store/archive.hpp"

namespace twistor::store {

/// n sequences of T tokens drawn exactly from sigma.
struct ExactSamples {
  std::vector<std::int64_t> prompt;  ///< token ids of s0
  std::int64_t length = 0;           ///< T
  Array<std::int64_t> tokens;        ///< (n, T)
  std::vector<double> log_p0;        ///< (n), log p0(s_{1:T} | s0)
  std::vector<double> log_phi;       ///< (n)
  Array<std::int64_t> observations;  ///< (n, c), or shape {} without values for unconditional targets
  double log_z = std::numeric_limits<double>::quiet_NaN();  ///< exact log Z; NaN if unknown
  std::string how;                                          ///< way and seed, such as "rejection with seed 1"
  std::int64_t n_draws = 0;                                 ///< sequences drawn from p0 to get them
  std::int64_t n_left_out = 0;  ///< further samples that they gave, of which this run has no use; not stored
  std::string model_fingerprint;
  std::string potential;  ///< description of phi

  [[nodiscard]] std::int64_t n() const noexcept { return static_cast<std::int64_t>(log_phi.size()); }
  [[nodiscard]] bool has_observations() const noexcept { return !observations.shape.empty(); }
  [[nodiscard]] bool is_log_z_known() const noexcept { return !std::isnan(log_z); }
};

/// Rewrites the file atomically, so a long draw can save as it goes. *Local*: one rank calls it. Throws
/// Error(io), or Error(internal) if sizes disagree.
void write_exact_samples(const std::filesystem::path& path, const ExactSamples& samples,
                         const WriteOptions& options = {1, true});

/// *Local.* Throws Error(no_input) if missing, Error(data) if damaged or if sizes disagree.
[[nodiscard]] ExactSamples load_exact_samples(const std::filesystem::path& path);

}  // namespace twistor::store
