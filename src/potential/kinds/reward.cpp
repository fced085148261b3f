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

RewardScorer::RewardScorer(model::RewardModel model, const PotentialOptions& options)
    : model_(std::move(model)),
      beta_(options.beta),
      cap_(options.cap),
      index_(output_named(options.class_name, model_.labels())) {
  TWISTOR_CHECK(beta_ > 0, ErrorKind::config, making_reward,
                fmt::format("target.beta is {} (expected a positive number)", beta_));
}

std::vector<double> RewardScorer::log_phi(std::span<const std::string> texts) const {
  const std::vector<float> logits = model_.logits(texts);
  std::vector<double> out;
  for (std::size_t i = 0; i < texts.size(); ++i)
    out.push_back(beta_ * std::min(cap_, static_cast<double>(logits[i * model_.labels().size() + index_])));
  return out;
}

std::string RewardScorer::description() const {
  return fmt::format("reward: exp({} r), r = {} of {}", beta_, model_.labels()[index_], model_.description());
}

std::unique_ptr<TextScorer> make_reward(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(!options.classifier.empty(), ErrorKind::config, making_reward, "target.classifier is not set",
                "name the folder of a reward model (config.json, model.safetensors, tokenizer.json)");
  return std::make_unique<RewardScorer>(model::RewardModel(options.classifier, context.load_options(options)),
                                        options);
}

}  // namespace twistor::potential
