// SPDX-License-Identifier: Apache-2.0
// Distributional policy gradient (Parshakova et al. 2019; Khalifa et al. 2021; Zhao et al. 2024, Sec. 4.3):
// the proposal learns the positive samples by maximum likelihood.
#include <memory>
#include <utility>

#include "twistor/learn/positives.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

/// - sum of weights of positives times mean over t of log q.
class Dpg final : public Objective {
 public:
  explicit Dpg(const ObjectiveOptions& options) : options_(options), positives_(options) {}

  std::string_view name() const override { return "dpg"; }

  std::vector<Request> wants() const override {
    std::vector<Request> out = positives_.requests();
    for (Request& request : out) request.needs_log_q = true;
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs_or(1); }
  bool may_resample() const override { return false; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    PositiveWeights positives = positives_.weigh(batches, current.update, world);
    Terms out;
    out.numbers = positives.numbers();
    out.skipped = std::move(positives.skipped);
    out.on_score.resize(batches.size());
    for (const Batch& batch : batches) out.on_log_q.push_back(positives.of_likelihood(batch));
    return out;
  }

 private:
  ObjectiveOptions options_;
  PositiveSamples positives_;
};

}  // namespace

std::unique_ptr<Objective> make_dpg(const ObjectiveOptions& options) {
  return std::make_unique<Dpg>(options);
}

}  // namespace twistor::learn
