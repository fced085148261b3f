// SPDX-License-Identifier: Apache-2.0
// Automata side by side, and what of their states cannot be told apart.
#include <fmt/format.h>

#include <map>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/text/byte_automaton.hpp"

namespace twistor::text {
namespace {

constexpr std::size_t most_places = 50'000, most_states = 2'000;

}  // namespace

ByteAutomaton ByteAutomaton::combined(std::span<const ByteAutomaton> parts,
                                      const std::function<bool(const std::vector<bool>&)>& decides,
                                      const std::string& doing) {
  std::map<std::vector<std::int32_t>, std::int32_t> index;
  std::vector<std::vector<std::int32_t>> places;  // the parts' states
  const auto state_of = [&](std::vector<std::int32_t> place) {
    const auto [found, is_new] = index.try_emplace(place, static_cast<std::int32_t>(places.size()));
    if (is_new) places.push_back(std::move(place));
    TWISTOR_CHECK(places.size() <= most_places, ErrorKind::config, doing,
                  fmt::format("their automaton has more than {} states", most_places),
                  "ask for fewer words, or learn a twist (twist.form = mlp)");
    return found->second;
  };
  std::vector<std::int32_t> place;
  for (const ByteAutomaton& part : parts) place.push_back(part.start());
  (void)state_of(place);
  ByteAutomaton out;
  std::vector<bool> matches(parts.size());
  for (std::size_t s = 0; s < places.size(); ++s) {
    const std::vector<std::int32_t> here = places[s];  // by value: the list grows
    for (std::size_t i = 0; i < parts.size(); ++i) matches[i] = parts[i].is_match(here[i]);
    out.is_match_.push_back(decides(matches));
    for (int byte = 0; byte < 256; ++byte) {
      for (std::size_t i = 0; i < parts.size(); ++i)
        place[i] = parts[i].step(here[i], static_cast<unsigned char>(byte));
      out.next_.push_back(state_of(place));
    }
  }
  ByteAutomaton small = out.smallest();
  TWISTOR_CHECK(
      small.n_states() <= most_states, ErrorKind::config, doing,
      fmt::format("their automaton has {} states (expected at most {})", small.n_states(), most_states),
      "ask for fewer words, or learn a twist (twist.form = mlp)");
  return small;
}

ByteAutomaton ByteAutomaton::smallest() const {
  std::vector<std::int32_t> class_of;  // at first whether it matches, then by the classes that bytes lead to
  for (const bool matches : is_match_) class_of.push_back(matches != is_match_.front() ? 1 : 0);
  for (std::size_t n_classes = 0;;) {
    std::map<std::vector<std::int32_t>, std::int32_t> classes;  // in the order of their first states
    std::vector<std::int32_t> finer, key(257);
    for (std::size_t s = 0; s < n_states(); ++s) {
      key[0] = class_of[s];
      for (std::size_t byte = 0; byte < 256; ++byte)
        key[byte + 1] = class_of[static_cast<std::size_t>(next_[s * 256 + byte])];
      finer.push_back(classes.try_emplace(key, static_cast<std::int32_t>(classes.size())).first->second);
    }
    class_of = std::move(finer);
    if (classes.size() == std::exchange(n_classes, classes.size())) break;
  }
  ByteAutomaton out;
  for (std::size_t s = 0; s < n_states(); ++s) {
    if (static_cast<std::size_t>(class_of[s]) < out.n_states()) continue;  // not the first of its class
    out.is_match_.push_back(is_match_[s]);
    for (std::size_t byte = 0; byte < 256; ++byte)
      out.next_.push_back(class_of[static_cast<std::size_t>(next_[s * 256 + byte])]);
  }
  return out;
}

}  // namespace twistor::text
