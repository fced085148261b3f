// SPDX-License-Identifier: Apache-2.0
// Keeping the best evaluation.
#include "twistor/estimate/history.hpp"

#include <fmt/format.h>

namespace twistor::estimate {
namespace {

constexpr const char* worse_name = "progress.worse";

std::string round_name(std::size_t i) {
  return fmt::format("round.{}", i + 1);
}

}  // namespace

bool History::note(const Evaluation& e) {
  if (best && best->update == e.update) return false;
  if (!best || distance_from_target(e) < distance_from_target(*best)) {
    best = e;
    n_worse = 0;
    return true;
  }
  ++n_worse;
  return false;
}

void History::note_round(const Evaluation& e) {
  if (!rounds.empty() && rounds.back().update == e.update) rounds.pop_back();
  rounds.push_back(e);
}

std::string History::why_it_ends(std::int64_t update, std::int64_t patience) const {
  if (patience == 0 || n_worse < patience || best->update == update) return {};
  return fmt::format(
      "learning ends after update {}: no evaluation of the last {} was better than that after update {}",
      update, n_worse, best->update);
}

std::map<std::string, double> to_numbers(const History& history) {
  std::map<std::string, double> numbers;
  const auto add = [&](const std::optional<Evaluation>& e, const char* prefix) {
    if (e) numbers.merge(to_numbers(*e, prefix));
  };
  add(history.first, "before");
  add(history.base, "base");
  add(history.best, "best");
  if (history.best) numbers[worse_name] = static_cast<double>(history.n_worse);
  for (std::size_t i = 0; i < history.rounds.size(); ++i) add(history.rounds[i], round_name(i).c_str());
  return numbers;
}

History history_from_numbers(const std::map<std::string, double>& numbers) {
  const auto worse = numbers.find(worse_name);
  History out{.base = evaluation_from_numbers(numbers, "base"),
              .first = evaluation_from_numbers(numbers, "before"),
              .best = evaluation_from_numbers(numbers, "best"),
              .n_worse = worse == numbers.end() ? 0 : static_cast<std::int64_t>(worse->second),
              .rounds = {}};
  while (auto round = evaluation_from_numbers(numbers, round_name(out.rounds.size())))
    out.rounds.push_back(*std::move(round));
  return out;
}

}  // namespace twistor::estimate
