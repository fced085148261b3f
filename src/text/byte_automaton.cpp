// SPDX-License-Identifier: Apache-2.0
// From a pattern to a deterministic automaton: Thompson's construction (1968), then that of subsets.
#include "twistor/text/byte_automaton.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <map>
#include <utility>

#include "pattern_syntax.hpp"
#include "twistor/base/error.hpp"

namespace twistor::text {
namespace {

constexpr std::size_t most_nodes = 20'000;

/// A node of the automaton that may be in many places at once. It reads a byte, or leads on by itself.
struct NfaNode {
  enum class Kind { reads, leads, asks, accepts } kind = Kind::leads;
  std::bitset<256> set{};  // of what it reads
  PatternKind question{};  // of what it asks
  std::vector<std::int32_t> next{};
};

/// What a place between two bytes looks like from one side.
enum class Side { edge, word, other };

Side side_of(unsigned char byte) {
  return is_word_byte(byte) ? Side::word : Side::other;
}

}  // namespace

class AutomatonBuilder {
 public:
  AutomatonBuilder(const Pattern& pattern, const std::string& doing) : doing_(doing) {
    const std::int32_t accept = add({.kind = NfaNode::Kind::accepts});
    first_ = compile(pattern, accept);
  }

  ByteAutomaton build() {
    (void)state_of({{first_}, Side::edge});
    for (std::size_t s = 0; s < states_.size(); ++s) {
      const Place place = states_[s];  // by value: the list grows
      out_.next_.resize((s + 1) * 256);
      std::vector<std::int32_t> on_word = closure(place, Side::word), on_other = closure(place, Side::other);
      for (int byte = 0; byte < 256; ++byte) {
        const Side side = side_of(static_cast<unsigned char>(byte));
        out_.next_[s * 256 + static_cast<std::size_t>(byte)] =
            place.nodes.empty()
                ? static_cast<std::int32_t>(s)
                : after(side == Side::word ? on_word : on_other, static_cast<unsigned char>(byte));
      }
      out_.is_match_.push_back(place.nodes.empty() || accepts(closure(place, Side::edge)));
    }
    return std::move(out_);
  }

 private:
  /// Where the search stands before it has looked at the next byte. No nodes: a match was found.
  struct Place {
    std::vector<std::int32_t> nodes;  // increasing
    Side before = Side::edge;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  std::int32_t add(NfaNode node) {
    TWISTOR_CHECK(nodes_.size() < most_nodes, ErrorKind::config, doing_,
                  "the pattern is too large for an automaton", "take smaller repetitions");
    nodes_.push_back(std::move(node));
    return static_cast<std::int32_t>(nodes_.size()) - 1;
  }

  /// The first node of what matches the pattern and then goes on with `next`.
  std::int32_t compile(const Pattern& p, std::int32_t next) {
    switch (p.kind) {
      case PatternKind::bytes:
        return add({.kind = NfaNode::Kind::reads, .set = p.set, .next = {next}});
      case PatternKind::sequence:
        for (auto child = p.children.rbegin(); child != p.children.rend(); ++child)
          next = compile(*child, next);
        return next;
      case PatternKind::alternative: {
        std::vector<std::int32_t> choices;
        for (const Pattern& child : p.children) choices.push_back(compile(child, next));
        return add({.next = std::move(choices)});
      }
      case PatternKind::repeat:
        return compile_repeat(p, next);
      case PatternKind::begin:
      case PatternKind::end:
      case PatternKind::boundary:
      case PatternKind::no_boundary:
        return add({.kind = NfaNode::Kind::asks, .question = p.kind, .next = {next}});
    }
    TWISTOR_ASSERT(false, "a kind of pattern");
  }

  std::int32_t compile_repeat(const Pattern& p, std::int32_t next) {
    const Pattern& child = p.children.front();
    if (p.most < 0) {
      const std::int32_t loop = add({.next = {next}});
      const std::int32_t body = compile(child, loop);
      nodes_[static_cast<std::size_t>(loop)].next.push_back(body);
      next = loop;
    } else {
      for (int i = p.least; i < p.most; ++i) next = add({.next = {compile(child, next), next}});
    }
    for (int i = 0; i < p.least; ++i) next = compile(child, next);
    return next;
  }

  [[nodiscard]] static bool is_true(PatternKind question, Side before, Side behind) {
    switch (question) {
      case PatternKind::begin:
        return before == Side::edge;
      case PatternKind::end:
        return behind == Side::edge;
      case PatternKind::boundary:
        return (before == Side::word) != (behind == Side::word);
      default:
        return (before == Side::word) == (behind == Side::word);
    }
  }

  /// All nodes that a place leads to without a byte, where the next one (or the end) is of that side.
  [[nodiscard]] std::vector<std::int32_t> closure(const Place& place, Side behind) const {
    std::vector<std::int32_t> open = place.nodes, out;
    std::vector<bool> seen(nodes_.size());
    while (!open.empty()) {
      const std::int32_t at = open.back();
      open.pop_back();
      if (seen[static_cast<std::size_t>(at)]) continue;
      seen[static_cast<std::size_t>(at)] = true;
      out.push_back(at);
      const NfaNode& node = nodes_[static_cast<std::size_t>(at)];
      if (node.kind == NfaNode::Kind::leads ||
          (node.kind == NfaNode::Kind::asks && is_true(node.question, place.before, behind)))
        open.insert(open.end(), node.next.begin(), node.next.end());
    }
    return out;
  }

  [[nodiscard]] bool accepts(const std::vector<std::int32_t>& nodes) const {
    return std::ranges::any_of(nodes, [&](std::int32_t at) {
      return nodes_[static_cast<std::size_t>(at)].kind == NfaNode::Kind::accepts;
    });
  }

  /// The state after a byte: a match may also begin behind it.
  std::int32_t after(const std::vector<std::int32_t>& nodes, unsigned char byte) {
    if (accepts(nodes)) return state_of({});
    Place place{{first_}, side_of(byte)};
    for (const std::int32_t at : nodes) {
      const NfaNode& node = nodes_[static_cast<std::size_t>(at)];
      if (node.kind == NfaNode::Kind::reads && node.set[byte]) place.nodes.push_back(node.next.front());
    }
    std::ranges::sort(place.nodes);
    place.nodes.erase(std::unique(place.nodes.begin(), place.nodes.end()), place.nodes.end());
    return state_of(std::move(place));
  }

  std::int32_t state_of(Place place) {
    const auto found = index_.find(place);
    if (found != index_.end()) return found->second;
    const bool is_matched = !place.nodes.empty() && accepts(closure(place, Side::edge)) &&
                            accepts(closure(place, Side::word)) && accepts(closure(place, Side::other));
    if (is_matched) return index_[std::move(place)] = state_of({});  // whatever follows
    TWISTOR_CHECK(states_.size() < ByteAutomaton::most_states, ErrorKind::config, doing_,
                  fmt::format("the pattern's automaton has more than {} states", ByteAutomaton::most_states),
                  "take smaller repetitions and fewer alternatives, or learn a twist (twist.form = mlp)");
    states_.push_back(place);
    return index_[std::move(place)] = static_cast<std::int32_t>(states_.size()) - 1;
  }

  const std::string& doing_;
  std::vector<NfaNode> nodes_;
  std::int32_t first_ = 0;
  std::map<Place, std::int32_t> index_;
  std::vector<Place> states_;
  ByteAutomaton out_;
};

ByteAutomaton ByteAutomaton::of_pattern(std::string_view pattern, const std::string& doing) {
  return AutomatonBuilder(parse_pattern(pattern, doing), doing).build();
}

std::int32_t ByteAutomaton::walk(std::int32_t state, std::string_view bytes) const {
  for (const char c : bytes) state = step(state, static_cast<unsigned char>(c));
  return state;
}

}  // namespace twistor::text
