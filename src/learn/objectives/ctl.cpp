// Contrastive twist learning (CTL), Zhao et al. 2024, Sec. 4.1: samples of sigma up, of pi_t down.
#include <memory>
#include <utility>

#include "twistor/learn/contrast.hpp"
#include "twistor/learn/registry.hpp"

namespace twistor::learn {
namespace {

class Ctl final : public Objective {
 public:
  explicit Ctl(const ObjectiveOptions& options) : options_(options) {}

  std::string_view name() const override { return "ctl"; }

  std::vector<Request> wants() const override {
    std::vector<Request> out{{Source::proposal, options_.batch}};
    if (has_exact()) out.push_back({Source::exact, options_.positive_batch});
    return out;
  }

  std::int64_t inner_epochs() const override { return options_.inner_epochs; }

  Terms terms(std::span<const Batch> batches, const Current& current,
              const comm::Communicator& world) const override {
    const Batch& q = batches[0];
    const double power = phi_power(q, current.update, world);
    std::vector<double> log_phi = q.log_phi;
    for (double& value : log_phi) value *= power;
    Contrast contrast = contrastive_weights(q.samples, log_phi, share_of_weighted(), world);
    Terms out;
    out.numbers = {{"negative_ess", contrast.negative_ess}, {"phi_power", power}};
    if (!contrast.has_positives && !has_exact())
      out.skipped =
          "no sample of the proposal had phi > 0; use exact positives, a target.log_floor, or a larger "
          "train.batch";
    out.on_log_psi.push_back(std::move(contrast.weight));
    // Where no sample of q has phi > 0, the exact positives carry the whole weight.
    const double share = options_.positives == Positives::both && contrast.has_positives ? 0.5 : 1.0;
    if (has_exact()) out.on_log_psi.push_back(exact_weights(batches[1], share));
    return out;
  }

 private:
  [[nodiscard]] bool has_exact() const { return options_.positives != Positives::weighted; }
  [[nodiscard]] double share_of_weighted() const {
    if (!has_exact()) return 1.0;
    return options_.positives == Positives::both ? 0.5 : 0.0;
  }

  [[nodiscard]] double phi_power(const Batch& q, std::int64_t update, const comm::Communicator& world) const {
    if (share_of_weighted() == 0 || update >= options_.anneal) return 1;
    return annealed_power(q.samples, q.log_phi, options_.anneal_ess, world);
  }

  static std::vector<double> exact_weights(const Batch& exact, double share) {
    const double weight = -share / static_cast<double>(exact.request.n * exact.samples.T);
    return std::vector<double>(exact.samples.tokens.size(), weight);
  }

  ObjectiveOptions options_;
};

}  // namespace

std::unique_ptr<Objective> make_ctl(const ObjectiveOptions& options) {
  return std::make_unique<Ctl>(options);
}

}  // namespace twistor::learn
