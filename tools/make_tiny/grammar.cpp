// SPDX-License-Identifier: Apache-2.0
// Reading the grammar, drawing stories from it and scoring text by it.
#include "make_tiny/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <set>
#include <sstream>

#include "twistor/base/error.hpp"

namespace twistor::tiny {
namespace {

constexpr const char* root_symbol = "STORY";

bool is_symbol(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> parts;
  for (std::string part; in >> part;) parts.push_back(part);
  return parts;
}

[[noreturn]] void bad_line(const std::string& line, const std::string& problem) {
  throw Error(ErrorKind::data, "reading the grammar", fmt::format("{} in the line '{}'", problem, line),
              "the format is explained at the top of models/tiny/grammar.txt");
}

}  // namespace

Grammar::Grammar(const std::filesystem::path& path) : words_{"<end>", "<unk>"} {
  std::ifstream in(path);
  TWISTOR_CHECK(in.good(), ErrorKind::no_input, "reading the grammar",
                fmt::format("cannot open {}", path.string()), "name the file with --grammar");
  word_ids_ = {{"<end>", end_id}, {"<unk>", unknown_id}};
  name("none");
  for (std::string line; std::getline(in, line);) {
    if (!split(line).empty() && line[0] != '#') parse_line(line);
  }
  for (const auto& [symbol, rules] : rules_) {
    for (const Rule& rule : rules) {
      for (const Item& item : rule.items) {
        if (item.kind == Item::Kind::symbol && !rules_.contains(item.first))
          bad_line(names_[static_cast<std::size_t>(symbol)],
                   fmt::format("no rule for {}", names_[static_cast<std::size_t>(item.first)]));
      }
    }
  }
  if (!rules_.contains(name(root_symbol)))
    bad_line(path.string(), fmt::format("no rule for {}", root_symbol));
  learn_copied_values();
}

void Grammar::parse_line(const std::string& line) {
  const std::size_t colon = line.find(" :");
  if (colon == std::string::npos) bad_line(line, "no ' :'");
  std::string head = line.substr(0, colon);
  std::replace_if(
      head.begin(), head.end(), [](char c) { return c == '[' || c == ']'; }, ' ');
  const auto left = split(head);
  if (left.size() < 2 || !is_symbol(left.front())) bad_line(line, "expected SYMBOL [conditions] weight");
  Rule rule;
  for (std::size_t i = 1; i + 1 < left.size(); ++i) {
    const std::size_t equals = left[i].find('=');
    if (equals == std::string::npos || equals == 0)
      bad_line(line, fmt::format("'{}' is no condition", left[i]));
    const bool equal = left[i][equals - 1] != '!';
    rule.conditions.push_back(
        {name(left[i].substr(0, equal ? equals : equals - 1)), name(left[i].substr(equals + 1)), equal});
  }
  std::istringstream weight(left.back());
  if (!(weight >> rule.weight) || rule.weight <= 0)
    bad_line(line, fmt::format("'{}' is no weight", left.back()));
  for (const std::string& part : split(line.substr(colon + 2))) rule.items.push_back(parse_item(part));
  rules_[name(left.front())].push_back(std::move(rule));
}

Item Grammar::parse_item(const std::string& text) {
  if (is_symbol(text)) return {Item::Kind::symbol, name(text), 0};
  if (text.size() > 1 && text[0] == '@') return {Item::Kind::copy, name(text.substr(1)), 0};
  const std::size_t equals = text.find('=');
  if (equals != std::string::npos)
    return {Item::Kind::bind, name(text.substr(0, equals)), name(text.substr(equals + 1))};
  add_word(text);
  return {Item::Kind::word, static_cast<std::int32_t>(word_ids_.at(text)), 0};
}

std::int32_t Grammar::name(const std::string& text) {
  const auto [at, is_new] = name_ids_.try_emplace(text, static_cast<std::int32_t>(names_.size()));
  if (is_new) names_.push_back(text);
  return at->second;
}

void Grammar::add_word(const std::string& word) {
  if (word_ids_.try_emplace(word, static_cast<std::int64_t>(words_.size())).second) words_.push_back(word);
}

void Grammar::learn_copied_values() {
  std::set<std::int32_t> copied;
  for (const auto& [symbol, rules] : rules_)
    for (const Rule& rule : rules)
      for (const Item& item : rule.items)
        if (item.kind == Item::Kind::copy) copied.insert(item.first);
  for (const auto& [symbol, rules] : rules_)
    for (const Rule& rule : rules)
      for (const Item& item : rule.items)
        if (item.kind == Item::Kind::bind && copied.contains(item.first))
          add_word(names_[static_cast<std::size_t>(item.second)]);
}

std::vector<std::int64_t> Grammar::encode(const std::string& text) const {
  std::vector<std::int64_t> ids;
  for (const std::string& word : split(text)) {
    const auto at = word_ids_.find(word);
    TWISTOR_CHECK(at != word_ids_.end(), ErrorKind::usage, "encoding a text",
                  fmt::format("the vocabulary has no word '{}'", word),
                  "words are lower-case and separated by spaces, the full stop too");
    ids.push_back(at->second);
  }
  return ids;
}

std::string Grammar::decode(std::span<const std::int64_t> ids) const {
  std::string text;
  for (const std::int64_t id : ids) {
    if (!text.empty()) text += ' ';
    text += words_.at(static_cast<std::size_t>(id));
  }
  return text;
}

Derivation Grammar::start() const {
  return {{{Item::Kind::symbol, name_ids_.at(root_symbol), 0}}, std::vector<std::int32_t>(names_.size(), 0)};
}

std::vector<const Rule*> Grammar::rules_for(const Derivation& state, std::int32_t symbol) const {
  std::vector<const Rule*> usable;
  for (const Rule& rule : rules_.at(symbol)) {
    const bool holds =
        std::all_of(rule.conditions.begin(), rule.conditions.end(), [&](const Rule::Condition& c) {
          return (state.variables[static_cast<std::size_t>(c.variable)] == c.value) == c.equal;
        });
    if (holds) usable.push_back(&rule);
  }
  if (usable.empty())
    bad_line(names_[static_cast<std::size_t>(symbol)], "no rule's conditions hold for the symbol");
  return usable;
}

std::int64_t Grammar::word_of(const Derivation& state, const Item& item) const {
  if (item.kind == Item::Kind::word) return item.first;
  const std::int32_t value = state.variables[static_cast<std::size_t>(item.first)];
  const std::string& variable = names_[static_cast<std::size_t>(item.first)];
  if (value == 0) bad_line("@" + variable, "nothing was remembered for what is written");
  return word_ids_.at(names_[static_cast<std::size_t>(value)]);
}

std::vector<std::int64_t> Grammar::draw(Philox& random) const {
  std::vector<std::int64_t> story;
  Derivation state = start();
  while (!state.stack.empty()) {
    const Item item = state.stack.back();
    state.stack.pop_back();
    if (item.kind == Item::Kind::bind) {
      state.variables[static_cast<std::size_t>(item.first)] = item.second;
    } else if (item.kind == Item::Kind::symbol) {
      const auto rules = rules_for(state, item.first);
      double total = 0;
      for (const Rule* rule : rules) total += rule->weight;
      double left = random.uniform() * total;
      std::size_t chosen = 0;
      while (chosen + 1 < rules.size() && left >= rules[chosen]->weight) left -= rules[chosen++]->weight;
      state.stack.insert(state.stack.end(), rules[chosen]->items.rbegin(), rules[chosen]->items.rend());
    } else {
      story.push_back(word_of(state, item));
    }
  }
  return story;
}

StoryScorer::StoryScorer(const Grammar& grammar) : grammar_(grammar) {
  restart();
}

void StoryScorer::restart() {
  states_.clear();
  expand(grammar_.start(), 1.0);
}

void StoryScorer::expand(Derivation state, double probability) {
  while (state.stack.back().kind == Item::Kind::bind) {
    const Item item = state.stack.back();
    state.stack.pop_back();
    state.variables[static_cast<std::size_t>(item.first)] = item.second;
  }
  const Item item = state.stack.back();
  if (item.kind != Item::Kind::symbol) {
    states_[std::move(state)] += probability;
    return;
  }
  const auto rules = grammar_.rules_for(state, item.first);
  double total = 0;
  for (const Rule* rule : rules) total += rule->weight;
  for (const Rule* rule : rules) {
    Derivation next = state;
    next.stack.pop_back();
    next.stack.insert(next.stack.end(), rule->items.rbegin(), rule->items.rend());
    expand(std::move(next), probability * rule->weight / total);
  }
}

std::vector<double> StoryScorer::next() const {
  std::vector<double> p(grammar_.words().size(), 0.0);
  for (const auto& [state, probability] : states_)
    p[static_cast<std::size_t>(grammar_.word_of(state, state.stack.back()))] += probability;
  return p;
}

double StoryScorer::advance(std::int64_t word) {
  const double p = next().at(static_cast<std::size_t>(word));
  std::map<Derivation, double> before;
  before.swap(states_);
  if (p == 0) return p;
  if (word == end_id) {
    restart();
    return p;
  }
  for (const auto& [state, probability] : before) {
    if (grammar_.word_of(state, state.stack.back()) != word) continue;
    Derivation next_state = state;
    next_state.stack.pop_back();
    expand(std::move(next_state), probability / p);
  }
  return p;
}

}  // namespace twistor::tiny
