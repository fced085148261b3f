// SPDX-License-Identifier: Apache-2.0
// Rounds of work.
#include "twistor/estimate/deal.hpp"

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/base/stopwatch.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::estimate {
namespace {

/// The pieces that are still to be done, the dearest first.
std::vector<std::int64_t> left_to_do(const Deal& deal, const Pieces& found) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(deal.costs.size()); ++i)
    if (!found.contains(i)) out.push_back(i);
  std::ranges::stable_sort(out, std::ranges::greater(),
                           [&](std::int64_t i) { return deal.costs[static_cast<std::size_t>(i)]; });
  return out;
}

/// Towards the end rounds become short: a group without work waits for the others of its round.
double seconds_of_round(double longest_s, double elapsed_s, std::size_t n_done, std::size_t n_left) {
  constexpr double shortest = 0.1;
  if (n_done == 0) return std::min(1.0, longest_s);
  const double left_s = elapsed_s * static_cast<double>(n_left) / static_cast<double>(n_done);
  return std::clamp(left_s / 2, std::min(shortest, longest_s), longest_s);
}

}  // namespace

bool deal_out(const Deal& deal, const comm::Communicator& world, const comm::Groups& groups,
              const Steering& steering, Pieces& found) {
  const auto n = static_cast<std::int64_t>(deal.costs.size());
  const comm::Communicator& group = groups.group;
  const Interrupt wish = [&] {
    return comm::all_reduce_max(is_interrupted(steering.wish) ? 1 : 0, group) != 0;
  };
  const Stopwatch all;
  const std::size_t n_before = found.size();
  for (;;) {
    const std::vector<std::int64_t> left = left_to_do(deal, found);
    if (left.empty()) return true;
    const double limit_s = comm::broadcast_value(
        seconds_of_round(steering.save_every_s, all.seconds(), found.size() - n_before, left.size()), world);
    const auto n_done = static_cast<std::int64_t>(found.size());
    const Stopwatch round;
    Pieces mine;  // on the group's first rank
    std::int64_t n_mine = 0;
    const Steering apart{wish,
                         [&](std::string_view what, std::int64_t done, std::int64_t wanted) {
                           if (groups.n_groups == 1) steering.observe(what, done, wanted);
                         },
                         steering.wish};
    for (auto i = static_cast<std::size_t>(groups.group_index); i < left.size();
         i += static_cast<std::size_t>(groups.n_groups)) {
      steering.observe(deal.what, std::min(n, n_done + n_mine * groups.n_groups), n);
      std::optional<std::vector<double>> result = deal.work(left[i], apart);
      if (!result) break;
      ++n_mine;
      if (group.rank() == 0) mine[left[i]] = *std::move(result);
      const bool is_over = round.seconds() > limit_s || is_interrupted(steering.wish);
      if (comm::all_reduce_max(is_over ? 1 : 0, group) != 0) break;
    }
    const std::vector<double> numbers = mine.empty() ? std::vector<double>{} : to_numbers(mine);
    found.merge(pieces_from_numbers(comm::all_gather(std::span<const double>(numbers), world)));
    if (deal.save && static_cast<std::int64_t>(found.size()) > n_done) deal.save(found);
    steering.observe(deal.what, static_cast<std::int64_t>(found.size()), n);
    if (static_cast<std::int64_t>(found.size()) < n && is_interrupted(steering.interrupt)) return false;
  }
}

std::vector<double> to_numbers(const Pieces& pieces) {
  std::vector<double> out;
  for (const auto& [piece, numbers] : pieces) {
    out.insert(out.end(), {static_cast<double>(piece), static_cast<double>(numbers.size())});
    out.insert(out.end(), numbers.begin(), numbers.end());
  }
  return out;
}

Pieces pieces_from_numbers(std::span<const double> x) {
  Pieces out;
  for (std::size_t at = 0; at < x.size();) {
    const std::size_t n = at + 1 < x.size() ? static_cast<std::size_t>(x[at + 1]) : x.size();
    TWISTOR_CHECK(n <= x.size() - at - 2 && at + 1 < x.size(), ErrorKind::data, "resuming work in pieces",
                  "what was kept of it is cut short", "remove the file *.partial.h5 in run.output");
    const std::span<const double> numbers = x.subspan(at + 2, n);
    out[static_cast<std::int64_t>(x[at])] = {numbers.begin(), numbers.end()};
    at += n + 2;
  }
  return out;
}

}  // namespace twistor::estimate
