// SPDX-License-Identifier: Apache-2.0
// CTL for twists that are a ratio q / p0 (Zhao et al. 2025, app. B): its negative term has mean 0 there, so
// that what is left is the likelihood of positives under q, with the twist read as log q - log p0.
#include <memory>

#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// - sum of weights of positives times mean over t of log psi_t.
class Ratio final : public Objective {
 public:
  explicit Ratio(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "ratio"; }

  std::vector<Request> wants() const override { return positives_.requests(); }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }
  bool may_resample() const override { return false; }
  bool needs_ratio() const override { return true; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    PositiveWeights positives = positives_.weigh(batches, current.update, world);
    Terms out;
    out.numbers = positives.numbers();
    out.skipped = std::move(positives.skipped);
    for (const Batch& batch : batches) {
      out.on_score.push_back(positives.of_likelihood(batch));
      forget_after_end(batch, current.problem.lm.end_rule(), out.on_score.back());
    }
    return out;
  }

 private:
  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_ratio(const ObjectiveOptions& options) {
  return std::make_unique<Ratio>(options);
}

}  // namespace twistor::learn
