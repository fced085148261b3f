// SPDX-License-Identifier: Apache-2.0
// A forecast in words: what was measured, what was counted, what is assumed.
#include <fmt/format.h>

#include "twistor/run/scale.hpp"

namespace twistor::run {
namespace {

std::string seconds_text(double seconds) {
  return seconds >= 0.1 ? fmt::format("{:.3g} s", seconds) : fmt::format("{:.3g} ms", 1e3 * seconds);
}

std::string bytes_text(std::int64_t bytes) {
  const auto n = static_cast<double>(bytes);
  return n >= 1e9 ? fmt::format("{:.3g} GB", n * 1e-9) : fmt::format("{:.3g} MB", n * 1e-6);
}

std::string line(std::string_view what, const std::string& value, const std::string& why) {
  return fmt::format("{:<34}{:>10}   {}\n", what, value, why);
}

std::string sweep_text(const SweepForecast& s, const ScaleForecast& all) {
  const double P = static_cast<double>(all.options.ranks);
  std::string out = line("one sweep", seconds_text(s.seconds()), "forecast");
  out +=
      line("  forward passes, heads, phi", seconds_text(s.compute.seconds),
           s.compute.n == s.share
               ? fmt::format("measured with {} particles on each of {} ranks here", s.share, all.ranks_here)
               : fmt::format("extrapolated from {} particles, measured on each of {} ranks here", s.compute.n,
                             all.ranks_here));
  out += line("  resampling, on the first rank", seconds_text(s.population_s),
              fmt::format("measured: the sampler's own code, {} resamplings of {} simulated ranks",
                          s.moves.resamplings, all.options.ranks));
  out += line("  reductions and gathers", seconds_text(s.collectives_s),
              fmt::format("counted: {} of 64 bytes, {} of {}, {} told by the first rank; assumed network",
                          s.length + 1, s.moves.resamplings + 1, bytes_text(8 * s.particles),
                          bytes_text(s.moves.told_bytes)));
  out += line(
      "  particles that move", seconds_text(s.moves_s),
      fmt::format("counted: {} for the busiest rank; assumed network", bytes_text(s.moves.busiest_bytes)));
  out += line("efficiency", fmt::format("{:.2f}", s.efficiency()),
              "a rank with its share alone would take that part of the time");
  out += fmt::format(
      "\nWhat moves in a sweep: {} of {} children change rank, as {} copies of ancestors in {} messages "
      "between "
      "pairs\nof ranks, {} in all, {} for a rank on average, at most {} at once.\n",
      s.moves.moved, s.particles * s.moves.resamplings, s.moves.copies, s.moves.messages,
      bytes_text(s.moves.bytes),
      bytes_text(static_cast<std::int64_t>(static_cast<double>(s.moves.bytes) / P)),
      bytes_text(s.moves.peak_bytes));
  return out;
}

std::string update_text(const ScaleForecast& all) {
  if (!all.update) return fmt::format("No forecast of an update: {}.\n", all.no_update);
  const UpdateForecast& u = *all.update;
  std::string out = line("one update", seconds_text(u.seconds()), "forecast");
  out += line("  samples, gradient, Adam", seconds_text(u.compute_s),
              fmt::format("measured with {} samples of q: the share of one of {} ranks", u.samples, u.ranks));
  out += line("  reductions", seconds_text(u.collectives_s),
              fmt::format("counted: {} of parameters; assumed network", bytes_text(u.parameter_bytes)));
  if (u.ranks < all.options.ranks)
    out += fmt::format("train.shards = {}: the other {} ranks wait while {} learn.\n", u.ranks,
                       all.options.ranks - u.ranks, u.ranks);
  return out;
}

std::string memory_text(const MemoryForecast& m, const SweepForecast& s) {
  std::string out =
      line("memory of the first rank", bytes_text(m.resident + m.particles + m.population), "at the most");
  out += line("  program, model, twist", bytes_text(m.resident),
              "measured here; the ranks of a node share the model's weights");
  out += line("  particles", bytes_text(m.particles),
              fmt::format("counted for {}: no two share a prefix", s.share));
  return out + line("  tables of all particles", bytes_text(m.population),
                    fmt::format("counted for {}; no other rank has them", s.particles));
}

std::string check_text(const ScaleForecast& all) {
  std::string out;
  const auto add = [&](const char* what, double forecast, double measured) {
    out += line(what, seconds_text(measured),
                fmt::format("measured with the {} ranks here; forecast / measured = {:.2f}", all.ranks_here,
                            forecast / measured));
  };
  if (all.measured_sweep_s) add("check: one sweep", all.sweep.seconds(), *all.measured_sweep_s);
  if (all.measured_update_s) add("check: one update", all.update->seconds(), *all.measured_update_s);
  return out.empty() ? out : "\n" + out;
}

}  // namespace

std::string scale_text(const ScaleForecast& all) {
  const ScaleOptions& o = all.options;
  std::string out = fmt::format("{} ranks, one population of K = {} particles, {} on a rank, T = {}\n\n",
                                o.ranks, all.sweep.particles, all.sweep.share, all.sweep.length);
  out += sweep_text(all.sweep, all) + "\n" + update_text(all) + "\n" + memory_text(all.memory, all.sweep);
  out += check_text(all);
  return out +
         fmt::format(
             "\nAssumed: {:g} us a message (--latency_us), {:g} GB/s that a rank receives "
             "(--bandwidth_gb_s), a "
             "rank there computes {:g} times\nas fast as one here (--speedup); collectives take ceil(log2 P) "
             "messages; ranks wait for nobody slower; log-normal\nweights with the calibration's ESS. Start "
             "as "
             "many ranks here as a node will have, and their cores and memory are\nshared as they will be.\n",
             o.latency_us, o.bandwidth_gb_s, o.speedup);
}

}  // namespace twistor::run
