// SPDX-License-Identifier: Apache-2.0
// What a run counts: events, largest sizes and seconds, each added up over time and over ranks by its own
// rule.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>

namespace twistor {

enum class CounterKind {
  sum,      ///< integers, added over time and over ranks
  max,      ///< integers, the largest over time and over ranks: the most that one rank held
  seconds,  ///< added over time, the slowest rank's over ranks
};

/// A struct that counts has `static void each_counter(visit)`, which calls visit(kind, name, pointer to
/// member) for each of its counters: adding, names in files and reductions follow from that one list.
template <class Counted>
void add_counters(Counted& to, const Counted& more) {
  Counted::each_counter([&](CounterKind kind, std::string_view, auto member) {
    to.*member = kind == CounterKind::max ? std::max(to.*member, more.*member) : to.*member + more.*member;
  });
}

/// Counters by kind and name. Integers stay integers; a name is of one kind. comm::all_reduce() gives those
/// of all ranks.
struct Counters {
  std::map<std::string, std::int64_t> sums;
  std::map<std::string, std::int64_t> maxima;
  std::map<std::string, double> seconds;

  void add(const Counters& more) {
    for (const auto& [name, value] : more.sums) sums[name] += value;
    for (const auto& [name, value] : more.maxima) maxima[name] = std::max(maxima[name], value);
    for (const auto& [name, value] : more.seconds) seconds[name] += value;
  }
  /// Of a struct that counts.
  template <class Counted>
  void add(const Counted& counted) {
    Counted::each_counter([&](CounterKind kind, std::string_view name, auto member) {
      const auto value = counted.*member;
      Counters one;
      if constexpr (std::is_floating_point_v<std::remove_const_t<decltype(value)>>) {
        one.seconds.emplace(name, value);
      } else {
        (kind == CounterKind::max ? one.maxima : one.sums).emplace(name, value);
      }
      add(one);
    });
  }
  friend bool operator==(const Counters&, const Counters&) = default;
};

}  // namespace twistor
