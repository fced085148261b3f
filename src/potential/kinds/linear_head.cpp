// SPDX-License-Identifier: Apache-2.0
// The linear_head potential.
#include "linear_head.hpp"

#include <fmt/format.h>

#include "twistor/base/error.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_linear_head = "making the potential 'linear_head'";

}  // namespace

LinearHeadScorer::LinearHeadScorer(model::SentenceEncoder encoder, model::LinearHead head,
                                   const PotentialOptions& options)
    : encoder_(std::make_shared<const model::SentenceEncoder>(std::move(encoder))),
      head_(std::move(head)),
      score_(options, head_.classes, /*is_multi_label=*/false, making_linear_head) {
  TWISTOR_CHECK(
      head_.encoder_fingerprint == encoder_->space_fingerprint() && head_.width() == encoder_->width(),
      ErrorKind::config, making_linear_head,
      fmt::format("the head {} was made for another encoder (for vectors {} of width {}, but {} gives {} of "
                  "width {})",
                  options.head, head_.encoder_fingerprint.substr(0, 12), head_.width(), options.encoder,
                  encoder_->space_fingerprint().substr(0, 12), encoder_->width()),
      "set target.encoder to the folder that the head was trained with, or train a new head (train_head)");
}

std::vector<double> LinearHeadScorer::log_phi(std::span<const std::string> texts) const {
  return score_.log_phi_of_rows(head_.logits(encoder_->embed(texts)));
}

std::unique_ptr<TextScorer> LinearHeadScorer::given(std::span<const std::int64_t> observation) const {
  if (n_classes() == 0 || observation.size() != 1) return nullptr;
  auto out = std::make_unique<LinearHeadScorer>(*this);
  out->score_ = score_.of_class(observation.front());
  return out;
}

std::string LinearHeadScorer::description() const {
  return fmt::format("linear_head: {} over {}", score_.description(), encoder_->description());
}

std::unique_ptr<TextScorer> make_linear_head(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(!options.encoder.empty() && !options.head.empty(), ErrorKind::config, making_linear_head,
                fmt::format("target.{} is not set", options.encoder.empty() ? "encoder" : "head"),
                "models/sentiment-minilm/README.md shows both");
  return std::make_unique<LinearHeadScorer>(
      model::SentenceEncoder(options.encoder, context.load_options(options)),
      model::read_linear_head(options.head), options);
}

}  // namespace twistor::potential
