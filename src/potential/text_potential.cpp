// SPDX-License-Identifier: Apache-2.0
// From sequences to the texts that scorers read.
#include "twistor/potential/text_potential.hpp"

#include <fmt/format.h>

#include <unordered_map>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
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

std::string decoded_prompt(std::span<const std::int64_t> prompt, const text::Tokenizer& tokenizer) {
  return text::decode_any(tokenizer, text::without_front(tokenizer, prompt));
}

std::vector<double> TextScorer::log_phi_of_answers(const std::string& /*prompt*/,
                                                   std::span<const std::string> /*answers*/) const {
  throw Error(ErrorKind::usage, "scoring prompt and answer as a pair", "the potential reads one text",
              "set target.scope = all or generation");
}

TextPotential::TextPotential(std::unique_ptr<TextScorer> scorer, const text::Tokenizer& tokenizer,
                             TextScope scope, model::EndRule end, std::string question)
    : scorer_(std::move(scorer)),
      tokenizer_(tokenizer),
      scope_(scope),
      end_(std::move(end)),
      question_(std::move(question)) {}

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
  const auto score = [&] {
    if (scope_ != TextScope::pair) return scorer_->log_phi(texts);
    return scorer_->log_phi_of_answers(
        question_.empty() ? decoded_prompt(sequences.prompt, tokenizer_) : question_, texts);
  };
  const std::vector<double> values = score();
  std::vector<double> result;
  result.reserve(places.size());
  for (const std::size_t place : places) result.push_back(values[place]);
  return result;
}

std::unique_ptr<Potential> TextPotential::given(std::span<const std::int64_t> observation) const {
  auto scorer = scorer_->given(observation);
  if (scorer == nullptr) return nullptr;
  return std::make_unique<TextPotential>(std::move(scorer), tokenizer_, scope_, end_, question_);
}

std::optional<model::TokenAutomaton> TextPotential::automaton(std::span<const std::int64_t> prompt,
                                                              std::int64_t vocab_size) const {
  const std::optional<TextAutomaton> found = scorer_->automaton();
  if (!found) return std::nullopt;
  const std::string before = scope_ == TextScope::all ? decoded_prompt(prompt, tokenizer_) : "";
  return model::automaton_of_bytes(found->bytes, tokenizer_, vocab_size, before, end_.tokens(),
                                   found->log_floor);
}

std::string TextPotential::description() const {
  if (scope_ == TextScope::all) return scorer_->description();
  if (scope_ == TextScope::generation) return scorer_->description() + ", of the generated text alone";
  return scorer_->description() + ", of the generated text as the answer to " +
         (question_.empty() ? "the prompt" : format::quote(question_));
}

}  // namespace twistor::potential
