// SPDX-License-Identifier: Apache-2.0
// The keys evaluate.*.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "twistor/base/names.hpp"
#include "twistor/config/key.hpp"

namespace twistor::estimate {

/// When the target is enumerated for an exact log Z.
enum class Enumerate {
  automatic,  ///< up to enumeration_limit sequences
  never,
  always,
};
constexpr auto names_of(Enumerate) {
  return std::array{Named{Enumerate::automatic, "auto"}, Named{Enumerate::never, "never"},
                    Named{Enumerate::always, "always"}};
}

struct Options {
  std::int64_t repeats = 10;       ///< runs of each estimator of log Z
  std::int64_t samples = 1000;     ///< for F_q and for G_q
  std::int64_t observations = 16;  ///< of conditional twists: whose targets are evaluated, each by itself
  std::string checkpoint;          ///< empty: run.output/checkpoint.h5
  std::string checkpoints;         ///< several in its place, separated by commas or blanks
  bool base = true;                ///< the base model too
  Enumerate enumerate = Enumerate::automatic;
  std::int64_t enumeration_limit = 20'000'000;  ///< most sequences V^T for enumerate = auto
  bool enumerate_q = true;                      ///< q too, where the target is enumerated
  std::string log_z;                            ///< a number that is known from elsewhere; empty: none
  /// Sequences V^T up to which the target is enumerated.
  [[nodiscard]] double most_enumerated() const;
  /// log_z as a number. Throws Error(config) if it is none.
  [[nodiscard]] std::optional<double> given_log_z() const;
  /// Sequences that one evaluation draws or scores, of populations of so many particles: four estimators of
  /// log Z, or two without exact samples; samples of q; exact samples.
  [[nodiscard]] std::int64_t n_sequences(std::int64_t particles, std::int64_t n_exact) const;
  /// Those of `checkpoints`, or `checkpoint` if it is not empty.
  [[nodiscard]] std::vector<std::string> named_checkpoints() const;
  void visit_keys(const config::Visitor& visit);
};

/// The keys sweep.*: evaluations for each of several K and seeds, in the place of one.
struct GridOptions {
  std::vector<std::int64_t> particles;  ///< K; empty: that of smc.particles
  std::vector<std::int64_t> seeds;      ///< empty: that of run.seed
  [[nodiscard]] bool is_given() const { return !particles.empty() || !seeds.empty(); }
  void visit_keys(const config::Visitor& visit);
};

/// What no key can know alone. Throws Error(config).
void validate(const Options& options, const GridOptions& grid, const std::string& doing);

}  // namespace twistor::estimate
