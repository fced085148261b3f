// SPDX-License-Identifier: Apache-2.0
// The keys evaluate.*.
#include "twistor/estimate/options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "twistor/base/error.hpp"
#include "twistor/config/fields.hpp"
#include "twistor/config/make_key.hpp"

namespace twistor::estimate {
namespace {

/// Throws Error(config) if one of them is there twice.
template <class T>
void require_distinct(const std::vector<T>& values, const char* key, const std::string& doing) {
  std::set<T> seen;
  for (const T& value : values)
    TWISTOR_CHECK(seen.insert(value).second, ErrorKind::config, doing,
                  fmt::format("{} has {} twice", key, value), "give each once");
}

}  // namespace

void Options::visit_keys(const config::Visitor& visit) {
  using config::count_from, config::key;
  visit(key("repeats", "runs of each estimator of log Z", count_from(1)), &repeats);
  visit(key("samples", "samples for each KL divergence", count_from(1)), &samples);
  visit(key("observations", "conditional twists: observations to evaluate", count_from(1)), &observations);
  visit(key("checkpoint", "twist to use, empty: run.output/checkpoint.h5"), &checkpoint);
  visit(key("checkpoints", "several in its place, to be compared: commas or blanks between them"),
        &checkpoints);
  visit(key("base", "evaluate the base model too, psi = 1 and q = p0, to compare with"), &base);
  visit(key("enumerate", "exact log Z by enumeration"), config::Choice(enumerate));
  visit(key("enumeration_limit", "enumerate = auto: most sequences", {1, 4294967296.0}), &enumeration_limit);
  visit(key("enumerate_q", "where the target is enumerated, q too, which makes divergences exact"),
        &enumerate_q);
  visit(key("log_z", "log Z where it is known from elsewhere, overrides what the run finds"), &log_z);
}

void GridOptions::visit_keys(const config::Visitor& visit) {
  using config::key;
  constexpr double most_particles = 2147483646.0;  // as smc.particles
  visit(key("particles", "evaluate: several K in the place of smc.particles", {1, most_particles}),
        &particles);
  visit(key("seeds", "evaluate: several seeds in the place of run.seed", {0, 1e15}), &seeds);
}

void validate(const Options& options, const GridOptions& grid, const std::string& doing) {
  (void)options.given_log_z();
  TWISTOR_CHECK(options.checkpoint.empty() || options.checkpoints.empty(), ErrorKind::config, doing,
                "evaluate.checkpoint and evaluate.checkpoints are both given", "leave one of them empty");
  require_distinct(options.named_checkpoints(), "evaluate.checkpoints", doing);
  require_distinct(grid.particles, "sweep.particles", doing);
  require_distinct(grid.seeds, "sweep.seeds", doing);
}

std::vector<std::string> Options::named_checkpoints() const {
  constexpr std::string_view separators = ", \t";
  if (!checkpoint.empty()) return {checkpoint};
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = checkpoints.find_first_not_of(separators, at)) != std::string::npos;) {
    const std::size_t end = std::min(checkpoints.find_first_of(separators, at), checkpoints.size());
    out.push_back(checkpoints.substr(at, end - at));
    at = end;
  }
  return out;
}

double Options::most_enumerated() const {
  if (enumerate == Enumerate::never) return 0;
  return enumerate == Enumerate::always ? config::infinity : static_cast<double>(enumeration_limit);
}

std::optional<double> Options::given_log_z() const {
  return config::optional_number(log_z, "evaluate.log_z");
}

std::int64_t Options::n_sequences(std::int64_t particles, std::int64_t n_exact) const {
  const std::int64_t estimators = n_exact > 0 ? 4 : 2;
  return estimators * repeats * particles + samples + std::min(samples, n_exact);
}

}  // namespace twistor::estimate
