// SPDX-License-Identifier: Apache-2.0
// From sequences to the texts that scorers read.
#include "twistor/potential/text_potential.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "twistor/base/error.hpp"
#include "twistor/text/decode.hpp"
#include "twistor/text/front.hpp"

namespace twistor::potential {

std::vector<std::string> decoded_texts(const Sequences& sequences, const text::Tokenizer& tokenizer,
                                       TextScope scope, const model::EndRule& end) {
  const auto n = static_cast<std::size_t>(sequences.size());
  const auto T = static_cast<std::size_t>(sequences.length);
  std::vector<std::int64_t> ids;
  if (scope == TextScope::all) {
    const auto prompt = text::without_front(tokenizer, sequences.prompt);
    ids.assign(prompt.begin(), prompt.end());
  }
  const std::size_t n_before = ids.size();
  std::vector<std::string> texts;
  texts.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto s = end.before_end(sequences.tokens.subspan(i * T, T));
    ids.resize(n_before);
    ids.insert(ids.end(), s.begin(), s.end());
    texts.push_back(text::decode_any(tokenizer, ids));
  }
  return texts;
}

TextPotential::TextPotential(std::unique_ptr<TextScorer> scorer, const text::Tokenizer& tokenizer,
                             TextScope scope, model::EndRule end)
    : scorer_(std::move(scorer)), tokenizer_(tokenizer), scope_(scope), end_(std::move(end)) {}

std::vector<double> TextPotential::log_phi(const Sequences& sequences) const {
  std::vector<std::string> texts;  // the different ones, in order of appearance
  std::unordered_map<std::string, std::size_t> place_of;
  std::vector<std::size_t> places;  // (n) into texts
  for (const std::string& text : decoded_texts(sequences, tokenizer_, scope_, end_)) {
    const auto [found, is_new] = place_of.try_emplace(text, texts.size());
    if (is_new) texts.push_back(text);
    places.push_back(found->second);
  }
  if (texts.empty()) return {};
  const std::vector<double> values = scorer_->log_phi(texts);
  std::vector<double> result;
  result.reserve(places.size());
  for (const std::size_t place : places) result.push_back(values[place]);
  return result;
}

std::unique_ptr<Potential> TextPotential::given(std::span<const std::int64_t> observation) const {
  auto scorer = scorer_->given(observation);
  if (scorer == nullptr) return nullptr;
  return std::make_unique<TextPotential>(std::move(scorer), tokenizer_, scope_, end_);
}

std::optional<model::TokenAutomaton> TextPotential::automaton(std::span<const std::int64_t> prompt,
                                                              std::int64_t vocab_size) const {
  const std::optional<TextAutomaton> found = scorer_->automaton();
  if (!found) return std::nullopt;
  std::string before;
  if (scope_ == TextScope::all)
    before = text::decode_any(tokenizer_, text::without_front(tokenizer_, prompt));
  return model::automaton_of_bytes(found->bytes, tokenizer_, vocab_size, before, end_.tokens(),
                                   found->log_floor);
}

std::string TextPotential::description() const {
  return scope_ == TextScope::all ? scorer_->description()
                                  : scorer_->description() + ", of the generated text alone";
}

}  // namespace twistor::potential
