// SPDX-License-Identifier: Apache-2.0
// The judge potential: questions of one length go through the model together.
#include "judge.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/text/front.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_judge = "making the potential 'judge'";
constexpr std::string_view placeholder = "{text}";
constexpr std::size_t n_together = 64;  // questions in memory at a time; the values do not depend on it

}  // namespace

JudgeScorer::JudgeScorer(const model::LanguageModel& lm, const text::Tokenizer& tokenizer, Options options)
    : lm_(lm),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      answer_(tokenizer.encode(options_.answer)) {
  const std::size_t place = options_.question.find(placeholder);
  TWISTOR_CHECK(
      place != std::string::npos && options_.question.find(placeholder, place + 1) == std::string::npos,
      ErrorKind::config, making_judge,
      fmt::format("target.template is {} (expected {{text}} once in it)", format::quote(options_.question)),
      "for instance target.template = \"{text}\\nIs this story happy? Answer:\"");
  TWISTOR_CHECK(!answer_.empty(), ErrorKind::config, making_judge, "target.answer has no tokens",
                "for instance target.answer = \" yes\"");
  TWISTOR_CHECK(options_.beta > 0, ErrorKind::config, making_judge,
                fmt::format("target.beta is {} (expected a positive number)", options_.beta));
}

std::vector<std::int64_t> JudgeScorer::question_about(const std::string& text) const {
  std::string question = options_.question;
  question.replace(question.find(placeholder), placeholder.size(), text);
  auto ids = options_.has_special_tokens ? text::encode_from_start(tokenizer_, question)
                                         : tokenizer_.encode(question);
  const std::string doing = "evaluating the potential 'judge' on the text " + format::quote(text);
  TWISTOR_CHECK(!ids.empty(), ErrorKind::data, doing, "target.template has no tokens with it");
  const std::size_t n_tokens = ids.size() + answer_.size();
  TWISTOR_CHECK(static_cast<std::int64_t>(n_tokens) <= lm_.context_length(), ErrorKind::data, doing,
                fmt::format("question and answer have {} tokens (expected at most {}, the model's context)",
                            n_tokens, lm_.context_length()),
                "shorten target.template, or set target.scope = generation");
  return ids;
}

/// The questions of these indices, all of one length.
void JudgeScorer::score(std::span<const std::vector<std::int64_t>> questions,
                        std::span<const std::size_t> which, std::span<double> result) const {
  const auto n = static_cast<std::int64_t>(which.size());
  const std::size_t c = answer_.size();
  std::vector<std::int64_t> inputs, wanted;  // (n, L + c - 1): the answer but for its last token; (n, c)
  for (const std::size_t i : which) {
    inputs.insert(inputs.end(), questions[i].begin(), questions[i].end());
    inputs.insert(inputs.end(), answer_.begin(), answer_.end() - 1);
    wanted.insert(wanted.end(), answer_.begin(), answer_.end());
  }
  const auto cache = lm_.make_cache(n);
  const auto n_question = static_cast<std::int64_t>(questions[which.front()].size());
  const at::Tensor hidden = lm_.forward(inputs, *cache)
                                .narrow(1, n_question - 1, static_cast<std::int64_t>(c))
                                .reshape({-1, lm_.hidden_size()});
  const auto log_p = model::log_prob_of_tokens(lm_, hidden, wanted);
  for (std::size_t k = 0; k < which.size(); ++k) {
    double sum = 0;
    for (std::size_t j = 0; j < c; ++j) sum += log_p[k * c + j];
    result[which[k]] = options_.beta * sum;
  }
}

std::vector<double> JudgeScorer::log_phi(std::span<const std::string> texts) const {
  std::vector<std::vector<std::int64_t>> questions;
  std::map<std::size_t, std::vector<std::size_t>> by_length;
  for (const std::string& text : texts) {
    questions.push_back(question_about(text));
    by_length[questions.back().size()].push_back(questions.size() - 1);
  }
  std::vector<double> result(texts.size());
  for (const auto& [length, which] : by_length)
    for (std::size_t begin = 0; begin < which.size(); begin += n_together)
      score(questions, std::span(which).subspan(begin, std::min(n_together, which.size() - begin)), result);
  return result;
}

std::string JudgeScorer::description() const {
  return fmt::format("judge: p0({} | {})^{}", format::quote(options_.answer),
                     format::quote(options_.question), options_.beta);
}

std::string JudgeScorer::fingerprint() const {
  const std::vector<std::int64_t> front = tokenizer_.special_tokens().before;
  return options_.has_special_tokens && !front.empty() ? fmt::format("front {}", fmt::join(front, ","))
                                                       : std::string{};
}

std::unique_ptr<TextScorer> make_judge(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(context.lm != nullptr && context.tokenizer != nullptr, ErrorKind::config, making_judge,
                "it needs a language model with a tokenizer", "set model.path");
  // A question may hold the token that ends generated texts: chat templates do.
  return std::make_unique<JudgeScorer>(
      context.lm->without_end(), *context.tokenizer,
      JudgeScorer::Options{options.template_text, options.answer, options.beta, context.has_special_tokens});
}

}  // namespace twistor::potential
