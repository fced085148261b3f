// SPDX-License-Identifier: Apache-2.0
// The reward potential.
#include "reward.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_reward = "making the potential 'reward'";

/// A label, or its number.
std::size_t output_named(const std::string& name, const std::vector<std::string>& labels) {
  if (name.empty() && labels.size() == 1) return 0;
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] == name || fmt::format("{}", i) == name) return i;
  throw Error(
      ErrorKind::config, making_reward,
      fmt::format("target.class is '{}', and the model's outputs are {}", name, fmt::join(labels, ", ")),
      "set target.class to one of them, or to its number from 0");
}

}  // namespace

RewardScorer::RewardScorer(model::RewardModel model, const PotentialOptions& options,
                           std::optional<text::ChatTemplate> chat)
    : model_(std::move(model)),
      chat_(std::move(chat)),
      messages_(options.messages),
      beta_(options.beta),
      cap_(options.cap),
      index_(output_named(options.class_name, model_.labels())) {
  TWISTOR_CHECK(beta_ > 0, ErrorKind::config, making_reward,
                fmt::format("target.beta is {} (expected a positive number)", beta_));
}

std::vector<double> RewardScorer::log_phi(std::span<const std::string> texts) const {
  std::vector<std::string> conversations;
  if (chat_)
    for (const std::string& text : texts) conversations.push_back(chat_->answered(messages_, text));
  return scores(chat_ ? model_.logits(conversations, false) : model_.logits(texts));
}

std::vector<double> RewardScorer::log_phi_of_answers(const std::string& prompt,
                                                     std::span<const std::string> answers) const {
  return scores(model_.logits_of_answers(prompt, answers));
}

std::vector<double> RewardScorer::scores(const std::vector<float>& logits) const {
  std::vector<double> out;
  for (std::size_t at = index_; at < logits.size(); at += model_.labels().size())
    out.push_back(beta_ * std::min(cap_, static_cast<double>(logits[at])));
  return out;
}

std::string RewardScorer::description() const {
  return fmt::format("reward: exp({} r), r = {} of {}", beta_, model_.labels()[index_], model_.description());
}

std::unique_ptr<TextScorer> make_reward(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(!options.classifier.empty(), ErrorKind::config, making_reward, "target.classifier is not set",
                "name the folder of a reward model (config.json, model.safetensors, tokenizer.json)");
  std::optional<text::ChatTemplate> chat;
  if (!options.messages.empty()) {
    TWISTOR_CHECK(
        options.scope == "generation", ErrorKind::config, making_reward,
        "target.messages are given, which the generated text answers, and target.scope = " + options.scope,
        "set target.scope = generation; for a pair target.question says what is answered");
    chat = text::load_chat_template(options.classifier);
    (void)chat->answered(options.messages, "");  // whatever is wrong with them, now
  }
  return std::make_unique<RewardScorer>(model::RewardModel(options.classifier, context.load_options(options)),
                                        options, std::move(chat));
}

}  // namespace twistor::potential
