// SPDX-License-Identifier: Apache-2.0
// A grammar of little stories with memory: draws stories, and scores any text exactly by following every
// derivation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "twistor/base/philox.hpp"

namespace twistor::tiny {

/// Ids that every vocabulary of ours begins with.
inline constexpr std::int64_t end_id = 0;
inline constexpr std::int64_t unknown_id = 1;

/// One thing on the right-hand side of a rule; `first` and `second` index names_ or are a word id, by kind.
struct Item {
  enum class Kind : std::int8_t { word, symbol, copy, bind } kind = Kind::word;
  std::int32_t first = 0;
  std::int32_t second = 0;
  friend auto operator<=>(const Item&, const Item&) = default;
};

/// A weighted rule and the conditions on variables under which it may be used.
struct Rule {
  struct Condition {
    std::int32_t variable = 0;
    std::int32_t value = 0;
    bool equal = true;
  };
  std::vector<Condition> conditions;
  double weight = 0;
  std::vector<Item> items;
};

/// A half-derived story: what is still to be expanded (next item last) and what the variables hold.
struct Derivation {
  std::vector<Item> stack;
  std::vector<std::int32_t> variables;
  friend auto operator<=>(const Derivation&, const Derivation&) = default;
};

/// The rules of a grammar file (its format stands at the top of models/tiny/grammar.txt). *Local*, immutable.
class Grammar {
 public:
  /// Throws Error(no_input) if the file is missing, Error(data) naming the line that is wrong.
  explicit Grammar(const std::filesystem::path& path);

  /// All words by id: "<end>", "<unk>", then in the order in which the file first uses them.
  [[nodiscard]] const std::vector<std::string>& words() const noexcept { return words_; }
  /// Ids of words separated by white space. Throws Error(usage) naming a word that the vocabulary lacks.
  [[nodiscard]] std::vector<std::int64_t> encode(const std::string& text) const;
  [[nodiscard]] std::string decode(std::span<const std::int64_t> ids) const;

  /// One story, from its first word to the end token.
  [[nodiscard]] std::vector<std::int64_t> draw(Philox& random) const;

 private:
  friend class StoryScorer;
  void parse_line(const std::string& line);
  [[nodiscard]] Item parse_item(const std::string& text);
  std::int32_t name(const std::string& text);
  void add_word(const std::string& word);
  void learn_copied_values();
  [[nodiscard]] Derivation start() const;
  [[nodiscard]] std::vector<const Rule*> rules_for(const Derivation& state, std::int32_t symbol) const;
  [[nodiscard]] std::int64_t word_of(const Derivation& state, const Item& item) const;

  std::vector<std::string> names_;  // symbols, variables and values; names_[0] is "none"
  std::map<std::string, std::int32_t> name_ids_;
  std::vector<std::string> words_;
  std::map<std::string, std::int64_t> word_ids_;
  std::map<std::int32_t, std::vector<Rule>> rules_;  // by symbol
};

/// Follows every derivation that agrees with the words so far: exact probabilities of the grammar as a
/// language model.
class StoryScorer {
 public:
  explicit StoryScorer(const Grammar& grammar);
  /// p(next word | words so far), (V). All zero once a word was impossible.
  [[nodiscard]] std::vector<double> next() const;
  /// Takes one more word and returns its conditional probability. After <end> a new story begins.
  double advance(std::int64_t word);

 private:
  void restart();
  void expand(Derivation state, double probability);

  const Grammar& grammar_;
  std::map<Derivation, double> states_;  // each with a word on top; probabilities add to one
};

}  // namespace twistor::tiny
