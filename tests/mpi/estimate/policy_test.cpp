// SPDX-License-Identifier: Apache-2.0
// Policies as proposals: exact divergences by sums written out here, sampled ones within their errors, cut
// supports, equal bits on all ranks, and the base model as its own policy.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "support/engines.hpp"
#include "support/random_model.hpp"
#include "support/tabular_problem.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/estimate/evaluate.hpp"
#include "twistor/estimate/exact_divergences.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/paired_models.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::estimate {
namespace {

constexpr std::int64_t V = 4, T = 4, end_token = 1;

struct Case {
  std::string name;
  smc::Truncation truncation;
  bool can_end = false;
};

/// A tabular base model and a random policy.
class Policies : public testing::TestWithParam<Case> {
 protected:
  Policies()
      : policy_(std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 99, 0.9))) {
    std::shared_ptr<const model::LanguageModel> base =
        std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 11, 0.9));
    if (GetParam().can_end) base = std::make_shared<model::AbsorbingModel>(base, end_token, 1);
    pair = model::pair_models(base, policy_, 1);
    exact = twistor::exact::enumerate(*pair.base, potential, prompt, T);
  }
  [[nodiscard]] smc::Problem problem() const { return {*pair.base, prompt, potential}; }
  [[nodiscard]] smc::Proposal proposal() const {
    return {*pair.base, none, smc::Policy{*pair.other, GetParam().truncation}};
  }
  [[nodiscard]] twistor::exact::Source source() const {
    return {20000, [this](std::int64_t i) { return exact.draw(8, i); }};
  }
  /// log q of one step, the definition written out.
  [[nodiscard]] double log_q(const test::Tokens& s, std::size_t t) const;

  std::shared_ptr<const model::TabularModel> policy_;
  model::PairedModels pair;
  twist::NoTwist none{V};
  test::Tokens prompt{2};
  test::RoughPotential potential{2.0};
  twistor::exact::Enumeration exact;
  comm::Communicator self = comm::Communicator::self(), world = comm::Communicator::world();
};

double Policies::log_q(const test::Tokens& s, std::size_t t) const {
  if (GetParam().can_end && t > 0 && s[t - 1] == end_token) return s[t] == end_token ? 0 : log_zero;
  test::Tokens prefix = prompt;
  prefix.insert(prefix.end(), s.begin(), s.begin() + static_cast<std::ptrdiff_t>(t));
  const smc::Truncation& cut = GetParam().truncation;
  std::vector<std::pair<double, std::int64_t>> p;  // probability and token, likeliest first
  const std::vector<double> log_p = policy_->log_probs(prefix);
  for (std::int64_t v = 0; v < V; ++v)
    p.emplace_back(std::exp(log_p[static_cast<std::size_t>(v)] / cut.temperature), v);
  std::sort(p.begin(), p.end(), std::greater());
  if (cut.top_k > 0 && cut.top_k < V) p.resize(static_cast<std::size_t>(cut.top_k));
  const auto total = [&] {
    return std::accumulate(p.begin(), p.end(), 0.0, [](double sum, const auto& x) { return sum + x.first; });
  };
  double held = 0;
  const double all = total();
  for (std::size_t n = 0; n < p.size(); ++n)
    if ((held += p[n].first) >= cut.top_p * all) p.resize(n + 1);
  const auto found = std::ranges::find(p, s[t], &std::pair<double, std::int64_t>::second);
  return found == p.end() ? log_zero : std::log(found->first / total());
}

TEST_P(Policies, HaveTheDivergencesOfSumsOverAllSequences) {
  const double log_z = exact.log_z();
  ExactDivergences expected;
  const smc::Proposal base(*pair.base, none, smc::ProposalKind::base);
  for (std::int64_t code = 0; code < V * V * V * V; ++code) {
    test::Tokens s;
    for (std::int64_t power = V * V * V; power > 0; power /= V) s.push_back(code / power % V);
    const auto log_p0_steps = smc::forced_pass(problem(), base, T, s).log_p0;
    const double log_p0 = std::accumulate(log_p0_steps.begin(), log_p0_steps.end(), 0.0);
    if (log_p0 == log_zero) continue;
    double of_q = 0;
    for (std::size_t t = 0; t < s.size(); ++t) of_q += log_q(s, t);
    const double log_phi = potential.log_phi({prompt, s, T})[0], ratio = log_p0 + log_phi - of_q;
    expected.g_q += std::exp(log_p0 + log_phi - log_z) * ratio;
    if (of_q == log_zero) continue;
    expected.f_q += std::exp(of_q) * ratio;
    expected.log_phi += std::exp(of_q) * log_phi;
    expected.kl_q_p0 += std::exp(of_q) * (of_q - log_p0);
    expected.mass += std::exp(of_q);
  }
  const ExactDivergences found = enumerate_divergences(problem(), proposal(), T, log_z, world).value();
  EXPECT_NEAR(found.f_q, expected.f_q, 1e-11);
  EXPECT_NEAR(found.log_phi, expected.log_phi, 1e-11);
  EXPECT_NEAR(found.kl_q_p0, expected.kl_q_p0, 1e-11);
  EXPECT_NEAR(found.mass, 1, 1e-12);
  EXPECT_NEAR(expected.mass, 1, 1e-12);
  EXPECT_EQ(std::isinf(found.g_q), GetParam().truncation.cuts());
  if (std::isinf(expected.g_q))
    EXPECT_EQ(found.g_q, expected.g_q);
  else
    EXPECT_NEAR(found.g_q, expected.g_q, 1e-11);
}

// 20,000 samples against the sums, at 4.5 standard errors: a false alarm in 1.5e5 comparisons.
TEST_P(Policies, AreEstimatedWithinTheirErrors) {
  if (world.size() > 1) GTEST_SKIP() << "one rank is enough";
  const double log_z = exact.log_z();
  const ExactDivergences truth = enumerate_divergences(problem(), proposal(), T, log_z, self).value();
  EvaluationOptions o{.sweep = {.particles = 8, .length = T, .trigger = smc::Trigger::never},
                      .repeats = 40,
                      .samples = 20000,
                      .known = {.exact_log_z = log_z}};
  Findings found;
  const Evaluation e =
      evaluate(problem(), proposal(), o, source(), self, comm::make_groups(self, 0), found).value();
  const auto expect = [&](const char* name, double value) {
    EXPECT_NEAR(e[name].mean, value, 4.5 * e[name].se + 1e-12) << name;
    EXPECT_LT(e[name].se, 0.03) << name;
  };
  expect("proposal.f_q", truth.f_q);
  expect("proposal.log_phi", truth.log_phi);
  expect("proposal.kl_q_p0", truth.kl_q_p0);
  expect("kl.q_sigma", log_z - truth.f_q);
  EXPECT_EQ(e.log_q_error_largest, 0);
  EXPECT_LE(e["log_z.sis_lower"].mean, log_z + 4.5 * e["log_z.sis_lower"].se);
  if (!GetParam().truncation.cuts()) {
    expect("kl.sigma_q", truth.g_q - log_z);
    EXPECT_GE(e["log_z.sis_upper"].mean, log_z - 4.5 * e["log_z.sis_upper"].se);
    return;
  }
  for (const char* name : {"kl.sigma_q", "proposal.g_q", "log_z.sis_upper"}) {
    EXPECT_EQ(e[name].mean, -log_zero) << name;
    EXPECT_EQ(e.find(name).note(), "support cut") << name;
  }
}

TEST_P(Policies, HaveTheSameBitsOnEveryNumberOfRanks) {
  const auto found_on = [&](const comm::Communicator& comm) {
    Findings found;
    const EvaluationOptions o{
        .sweep = {.particles = 7, .length = T, .trigger = smc::Trigger::never}, .repeats = 3, .samples = 100};
    (void)evaluate(problem(), proposal(), o, source(), comm, comm::make_groups(comm, 0), found).value();
    return found;
  };
  const Findings one = found_on(self), many = found_on(world);
  EXPECT_EQ(one.repeats, many.repeats);
  EXPECT_EQ(one.g, many.g);
  ASSERT_EQ(one.q.size(), many.q.size());
  for (std::size_t i = 0; i < one.q.size(); ++i) {
    EXPECT_EQ(one.q[i].ratio, many.q[i].ratio);
    EXPECT_EQ(one.q[i].kl_q_p0, many.q[i].kl_q_p0);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Policies,
                         testing::Values(Case{"plain", {}}, Case{"temperature", {0.7}}, Case{"top_k", {1, 2}},
                                         Case{"top_p", {1, 0, 0.6}}, Case{"all", {1.3, 3, 0.8}},
                                         Case{"with_ends", {}, true},
                                         Case{"all_with_ends", {0.7, 3, 0.8}, true}),
                         [](const auto& test) { return test.param.name; });

/// The tiny model and a random one of its vocabulary, with long texts whose caches travel.
struct Decoders {
  explicit Decoders(const std::shared_ptr<const device::Engine>& engine = device::cpu_engine()) {
    model::LoadOptions options;
    options.engine = engine;
    base = model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny", options);
    policy = model::load_language_model(
        test::make_random_gpt2(folder.path() / "random", base->vocab_size(), 32, 2, 2, 64, 0.3F), options);
  }
  test::TemporaryFolder folder;
  std::shared_ptr<const model::LanguageModel> base, policy;
  test::Tokens prompt{3, 7, 11, 4, 9, 2, 8, 5, 6, 12, 10};
  test::RoughPotential potential{3.0};
};

double total(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0);
}

TEST(PolicyOfDecoders, IsTheModelAloneWhereverItStands) {
  const Decoders d;
  constexpr std::int64_t length = 20;
  for (const bool ends : {false, true}) {
    const auto n_prompt = static_cast<std::int64_t>(d.prompt.size());
    const std::shared_ptr<const model::LanguageModel> base =
        ends ? std::make_shared<model::AbsorbingModel>(d.base, 5, n_prompt) : d.base;
    const model::PairedModels pair = model::pair_models(base, d.policy, n_prompt);
    const twist::NoTwist none(base->vocab_size());
    const smc::Problem problem{*pair.base, d.prompt, d.potential};
    const smc::Proposal q(*pair.base, none, smc::Policy{*pair.other, {0.8, 20, 0.9}});
    // Resampling moves particles and their rows of scores between ranks; the tokens' log q stay those of a
    // pass.
    const smc::SweepOptions o{.particles = 24, .length = length, .order = smc::Order::draw_first, .seed = 5};
    const smc::Sweep sweep = smc::sweep(problem, q, o, comm::Communicator::world());
    const smc::ForcedPass pass = smc::forced_pass(problem, q, length, sweep.particles.tokens);
    EXPECT_EQ(sweep.particles.log_q, pass.log_q);
    EXPECT_EQ(sweep.particles.log_p0, pass.log_p0);
    // Without truncation log q is the model's own score.
    const smc::Proposal plain(*pair.base, none, smc::Policy{*pair.other});
    const smc::ForcedPass scored = smc::forced_pass(problem, plain, length, sweep.particles.tokens);
    for (std::int64_t i = 0; i < sweep.particles.size() && !ends; ++i) {
      test::Tokens text = d.prompt;
      text.insert(text.end(), sweep.particles.tokens.begin() + i * length,
                  sweep.particles.tokens.begin() + (i + 1) * length);
      const std::vector<double> alone = model::score(*d.policy, text);
      for (std::int64_t t = 0; t < length; ++t)
        EXPECT_EQ(scored.log_q[sweep.particles.at(i, t)], alone[static_cast<std::size_t>(n_prompt + t - 1)]);
    }
  }
}

TEST(PolicyOfDecoders, IsTheBaseModelToTheLastBitWhereItHasItsWeights) {
  const Decoders d;
  const model::PairedModels pair = model::pair_models(
      d.base, model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny"),
      static_cast<std::int64_t>(d.prompt.size()));
  EXPECT_EQ(pair.base->hidden_size(), d.base->hidden_size());
  const twist::NoTwist none(d.base->vocab_size());
  const smc::Problem problem{*pair.base, d.prompt, d.potential};
  const smc::Proposal q(*pair.base, none, smc::Policy{*pair.other}),
      p0(*d.base, none, smc::ProposalKind::base);
  const exact::Source nothing{0, {}};
  const EvaluationOptions o{
      .sweep = {.particles = 8, .length = 6, .trigger = smc::Trigger::never}, .repeats = 3, .samples = 50};
  const comm::Communicator world = comm::Communicator::world();
  Findings of_policy, of_base;
  const Evaluation e =
      evaluate(problem, q, o, nothing, world, comm::make_groups(world, 0), of_policy).value();
  (void)evaluate({*d.base, d.prompt, d.potential}, p0, o, nothing, world, comm::make_groups(world, 0),
                 of_base)
      .value();
  EXPECT_EQ(e["proposal.kl_q_p0"].mean, 0);
  EXPECT_EQ(e["proposal.kl_q_p0"].se, 0);
  for (std::size_t i = 0; i < of_base.repeats.size(); ++i)
    EXPECT_EQ(of_policy.repeats[i].sis_lower, of_base.repeats[i].sis_lower);
}

class PolicyOnEngines : public testing::TestWithParam<const char*> {};

TEST_P(PolicyOnEngines, AgreesWithTheCpuKernels) {
  const auto engine = test::engine_named(GetParam());
  if (engine == nullptr) GTEST_SKIP() << "no GPU is asked for";
  const Decoders own, other(engine);
  for (const smc::Truncation& truncation : {smc::Truncation{0.9}, smc::Truncation{0.8, 20, 0.9}}) {
    const auto run = [&](const Decoders& d) {
      const model::PairedModels pair =
          model::pair_models(d.base, d.policy, static_cast<std::int64_t>(d.prompt.size()));
      const twist::NoTwist none(d.base->vocab_size());
      const smc::Problem problem = smc::Problem{*pair.base, d.prompt, d.potential}.with_start();
      const smc::Proposal q(*pair.base, none, smc::Policy{*pair.other, truncation});
      const smc::SweepOptions o{.particles = 12, .length = 5, .trigger = smc::Trigger::never, .seed = 17};
      smc::Sweep sweep = smc::sweep(problem, q, o, comm::Communicator::world());
      const smc::ForcedPass again = smc::forced_pass(problem, q, o.length, sweep.particles.tokens);
      for (std::size_t i = 0; i < again.log_q.size(); ++i)
        EXPECT_NEAR(again.log_q[i], sweep.particles.log_q[i], 2e-5);
      return sweep;
    };
    const smc::Sweep wanted = run(own), got = run(other);
    EXPECT_EQ(got.particles.tokens, wanted.particles.tokens);
    EXPECT_NEAR(total(got.particles.log_q), total(wanted.particles.log_q), 1e-3);
    EXPECT_NEAR(got.log_z, wanted.log_z, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, PolicyOnEngines, test::every_tensor_engine);
INSTANTIATE_TEST_SUITE_P(InParts, PolicyOnEngines, testing::Values("in_parts"));

}  // namespace
}  // namespace twistor::estimate
