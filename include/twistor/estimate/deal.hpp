// SPDX-License-Identifier: Apache-2.0
// Numbered pieces of work dealt out to groups of ranks, whose results do not tell who did what.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "twistor/base/interrupt.hpp"
#include "twistor/comm/communicator.hpp"

namespace twistor::estimate {

/// What pieces have given, by number: numbers of the work's own.
using Pieces = std::map<std::int64_t, std::vector<double>>;

struct Deal {
  std::string what;               ///< "prompts", for the progress line
  std::span<const double> costs;  ///< of each piece, in any unit: the dearest are begun first
  /// One piece; nothing if it was interrupted. *Collective over the group*, and given the same by all its
  /// ranks. The steering is the group's.
  std::function<std::optional<std::vector<double>>(std::int64_t piece, const Steering&)> work;
  /// Given all that is found, after every round in which something was, on every rank.
  std::function<void(const Pieces&)> save{};
};

/// Adds to `found` the pieces that it lacks. Groups work apart, in rounds: in each they share what is still
/// to be done until steering.save_every_s are over, and who is slow leaves the rest of its share to the next,
/// so that none waits for long. What a group had begun when it was interrupted is thrown away. False if it
/// was interrupted before all were there. *Collective over world*, of which groups are parts.
[[nodiscard]] bool deal_out(const Deal& deal, const comm::Communicator& world, const comm::Groups& groups,
                            const Steering& steering, Pieces& found);

/// Pieces as numbers, for a file or other ranks, and back; no numbers are no pieces. *Local.* Throws
/// Error(data) if their number is not what they say.
[[nodiscard]] std::vector<double> to_numbers(const Pieces& pieces);
[[nodiscard]] Pieces pieces_from_numbers(std::span<const double> numbers);

}  // namespace twistor::estimate
