// SPDX-License-Identifier: Apache-2.0
// The similarity potential.
#include "similarity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_similarity = "making the potential 'similarity'";

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

double cosine(std::span<const float> a, std::span<const float> b) {
  TWISTOR_ASSERT(a.size() == b.size(), "a cosine is between vectors of one width");
  const double lengths = std::sqrt(dot(a, a) * dot(b, b));
  return lengths == 0 ? 0.0 : std::clamp(dot(a, b) / lengths, -1.0, 1.0);
}

SimilarityScorer::SimilarityScorer(model::SentenceEncoder encoder, std::string text, double beta)
    : encoder_(std::move(encoder)), text_(std::move(text)), beta_(beta) {
  TWISTOR_CHECK(!text_.empty(), ErrorKind::config, making_similarity, "target.text is not set",
                "give the text that generations should resemble");
  direction_ = encoder_.embed(std::span(&text_, 1));
}

std::vector<double> SimilarityScorer::log_phi(std::span<const std::string> texts) const {
  const std::vector<float> vectors = encoder_.embed(texts);
  std::vector<double> out;
  for (std::size_t at = 0; at < vectors.size(); at += direction_.size())
    out.push_back(beta_ * cosine(std::span(vectors).subspan(at, direction_.size()), direction_));
  return out;
}

double SimilarityScorer::log_phi_bound() const {
  return std::abs(beta_);
}

std::string SimilarityScorer::description() const {
  return fmt::format("similarity: exp({} cos) to {} by {}", beta_, format::quote(text_),
                     encoder_.description());
}

std::unique_ptr<TextScorer> make_similarity(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(!options.encoder.empty(), ErrorKind::config, making_similarity, "target.encoder is not set",
                "name the folder of a sentence encoder; launch/get_model.sh minilm fetches one");
  return std::make_unique<SimilarityScorer>(
      model::SentenceEncoder(options.encoder, context.load_options(options)), options.text, options.beta);
}

}  // namespace twistor::potential
