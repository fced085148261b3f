// SPDX-License-Identifier: Apache-2.0
// A potential and a policy of one's own, in C++: how far are the base model, and the policy, from the target?
//
// usage: own_sampler MODEL PROMPT WORD...
//
// sigma(s) is proportional to p0(s) phi(s), where phi is higher the more of the words a text has. The policy
// is what people call guided decoding: the base model with the logits of these words raised. Runs on any
// number of ranks.
#include <ATen/ops/zeros.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "twistor/base/error.hpp"
#include "twistor/base/threads.hpp"
#include "twistor/comm/environment.hpp"
#include "twistor/comm/instruction_set.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/text/tokenizer.hpp"
#include "twistor/twist/twist.hpp"

namespace {

using namespace twistor;

constexpr double gain = 2;     // nats that a word is worth
constexpr std::int64_t T = 3;  // tokens to generate
constexpr std::uint64_t seed = 1;

/// log phi(s) = gain * (different tokens of `wanted` in s).
class WantedTokens final : public potential::Potential {
 public:
  explicit WantedTokens(std::set<std::int64_t> wanted) : wanted_(std::move(wanted)) {}

  std::vector<double> log_phi(const potential::Sequences& sequences) const override {
    std::vector<double> values;
    for (std::int64_t i = 0; i < sequences.size(); ++i) {
      std::set<std::int64_t> found;
      for (const std::int64_t token : sequences.tokens.subspan(static_cast<std::size_t>(i * sequences.length),
                                                               static_cast<std::size_t>(sequences.length)))
        if (wanted_.contains(token)) found.insert(token);
      values.push_back(gain * static_cast<double>(found.size()));
    }
    return values;
  }
  double log_phi_bound() const override { return gain * static_cast<double>(wanted_.size()); }
  std::string description() const override { return "wanted tokens"; }

 private:
  std::set<std::int64_t> wanted_;
};

/// The base model with the logits of some tokens raised. It reads the base model's own hidden states, so that
/// one forward pass serves both; a policy that is a model of its own is put beside the base model by
/// model::pair_models().
class RaisedLogits final : public model::LanguageModel {
 public:
  RaisedLogits(const model::LanguageModel& base, const std::set<std::int64_t>& tokens)
      : base_(base), raise_(at::zeros({base.vocab_size()}, base.hidden_dtype())) {
    for (const std::int64_t token : tokens) raise_[token] = gain;
  }

  void logits(const at::Tensor& hidden, std::int64_t v_begin, std::int64_t v_end,
              at::Tensor& out) const override {
    base_.logits(hidden, v_begin, v_end, out);
    out += raise_.slice(0, v_begin, v_end);
  }

  std::int64_t vocab_size() const override { return base_.vocab_size(); }
  std::int64_t hidden_size() const override { return base_.hidden_size(); }
  std::int64_t context_length() const override { return base_.context_length(); }
  at::ScalarType hidden_dtype() const override { return base_.hidden_dtype(); }
  std::string fingerprint() const override { return base_.fingerprint() + " with raised logits"; }
  std::string description() const override { return "raised logits"; }
  std::unique_ptr<model::Cache> make_cache(std::int64_t n) const override { return base_.make_cache(n); }
  at::Tensor forward(std::span<const std::int64_t> tokens, model::Cache& cache) const override {
    return base_.forward(tokens, cache);
  }

 private:
  const model::LanguageModel& base_;
  at::Tensor raise_;  // (V)
};

void print(const char* name, const estimate::Evaluation& e) {
  std::printf("%-12s log Z from %.4f ± %.4f to %.4f ± %.4f, KL(q || sigma) %.4f, KL(sigma || q) %.4f\n", name,
              e["log_z.smc_lower"].mean, e["log_z.smc_lower"].se, e["log_z.smc_upper"].mean,
              e["log_z.smc_upper"].se, e["kl.q_sigma"].mean, e["kl.sigma_q"].mean);
}

int compare(const comm::Communicator& world, const std::vector<std::string>& words) {
  TWISTOR_CHECK(words.size() >= 3, ErrorKind::usage, "reading the command line",
                "expected a model, a prompt and at least one word");
  const auto lm = model::load_language_model(words[0]);
  const auto tokenizer = text::load_tokenizer(words[0]);
  TWISTOR_CHECK(tokenizer != nullptr, ErrorKind::config, "reading " + words[0], "it has no tokenizer");
  const std::vector<std::int64_t> prompt = tokenizer->encode(words[1]);
  std::set<std::int64_t> wanted;
  for (std::size_t i = 2; i < words.size(); ++i)
    for (const std::int64_t token : tokenizer->encode(words[i])) wanted.insert(token);

  const WantedTokens potential(wanted);
  const smc::Problem problem = smc::Problem{*lm, prompt, potential}.with_start();
  const RaisedLogits raised(*lm, wanted);
  const twist::NoTwist none(lm->vocab_size());
  const smc::Proposal base(*lm, none, smc::ProposalKind::base), policy(*lm, none, smc::Policy{raised});

  // A target this small can be gone through: exact log Z and exact samples, for upper bounds and KL(sigma ||
  // q).
  const exact::Enumeration all = exact::enumerate(*lm, potential, prompt, T);
  const exact::Source samples{200, [&](std::int64_t i) { return all.draw(seed, i); }};
  estimate::EvaluationOptions options;
  options.sweep = {.particles = 64, .length = T, .seed = seed};
  options.repeats = 20;
  options.samples = 1000;
  options.trace = false;
  options.known.exact_log_z = all.log_z();

  const smc::Sweep sweep = smc::sweep(problem, policy, options.sweep, world);
  if (world.rank() == 0) {
    std::printf("log Z, exact: %.4f; one sweep of the policy: %.4f, ESS %.1f of %d\n", all.log_z(),
                sweep.log_z, sweep.final_ess, static_cast<int>(options.sweep.particles));
  }
  const comm::Groups groups = comm::make_groups(world, 0);
  for (const auto& [name, q] : {std::pair{"base model", &base}, std::pair{"own policy", &policy}}) {
    estimate::Findings found;
    const auto e = estimate::evaluate(problem, *q, options, samples, world, groups, found);
    if (world.rank() == 0) print(name, *e);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  std::optional<comm::Environment> environment;
  std::optional<comm::Communicator> world;
  try {
    environment.emplace(argc, argv);
    world = comm::Communicator::world();
    comm::agree_on_isa(*world);
    share_cores(world->node().size());
    return compare(*world, words);
  } catch (const std::exception& error) {
    comm::report_and_abort(world ? &*world : nullptr, error, "comparing samplers");
  }
}
