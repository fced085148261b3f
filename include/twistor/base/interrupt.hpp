// SPDX-License-Identifier: Apache-2.0
// How long work is told to stop early, and how it tells how far it has come.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace twistor {

/// Asked between pieces of work whether to stop. Work that is collective asks on all its ranks at the same
/// place, and every rank must get the same answer: the caller agrees on it. Empty: never stop.
using Interrupt = std::function<bool()>;

[[nodiscard]] inline bool is_interrupted(const Interrupt& interrupt) {
  return interrupt && interrupt();
}

/// Told after each piece of work, on every rank: what is being done, how much of it is done, how much there
/// is.
using Observer = std::function<void(std::string_view what, std::int64_t done, std::int64_t wanted)>;

/// All together, as functions take them that run for long.
struct Steering {
  Interrupt interrupt;
  Observer observer;
  /// Whether this rank alone would stop. Where groups of ranks work apart, each agrees on it within itself;
  /// once true it stays true, so that `interrupt` then stops the others too.
  Interrupt wish;
  /// How often what is done is saved, by work that can save it.
  double save_every_s = 10;

  void observe(std::string_view what, std::int64_t done, std::int64_t wanted) const {
    if (observer) observer(what, done, wanted);
  }
};

}  // namespace twistor
