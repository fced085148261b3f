// SPDX-License-Identifier: Apache-2.0
// Computed twists in sweeps: exact where p0 is the n-gram model, the same bits on all ranks, and better than
// none.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <numeric>

#include "support/error_of.hpp"
#include "support/tiny_problem.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/automaton_model.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/computed_twist.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t V = 5, T = 5;

/// log p(v | previous token), and the same as an n-gram model.
std::vector<double> random_table() {
  std::vector<double> out;
  Philox random(17, Stream::test, 0, 0);
  for (std::int64_t i = 0; i < V * V; ++i) out.push_back(3 * random.uniform());
  return out;
}

model::Ngram ngram_of(const model::TabularModel& lm) {
  model::Ngram out;
  out.unigram.assign(V, 1.0 / V);  // backed off to by nobody
  for (std::int64_t u = 0; u < V; ++u) {
    const std::vector<double> row = lm.log_probs(std::vector<std::int64_t>{u});
    for (std::int64_t v = 0; v < V; ++v)
      out.followers.push_back({static_cast<std::int32_t>(v), std::exp(row[static_cast<std::size_t>(v)])});
    out.contexts.push_back(u);
    out.begin.push_back(out.followers.size());
    out.backoff.push_back(0);
  }
  return out;
}

struct Target {
  std::string name;
  std::vector<std::int64_t> ids{};
  std::vector<double> scores{};
  std::string mode = "bag";
  double log_floor = log_zero;
  bool can_end = false;
};

class ComputedTwistOf : public testing::TestWithParam<Target> {
 protected:
  ComputedTwistOf() {
    table_ = std::make_shared<model::TabularModel>(model::TabularModel::order1(V, 1 + T, random_table()));
    lm_ = table_;
    if (GetParam().can_end) lm_ = std::make_shared<model::AbsorbingModel>(table_, 4, 1);
    potential::PotentialOptions options;
    options.length = T;
    options.potential = GetParam().ids.empty() ? "tokens" : "contains";
    options.ids = GetParam().ids;
    options.scores = GetParam().scores;
    options.mode = GetParam().mode;
    options.log_floor = GetParam().log_floor;
    potential_ = potential::make_potential(options, {.lm = lm_.get()});
    const auto automaton = std::make_shared<model::TokenAutomaton>(*potential_->automaton(prompt_, V));
    joined_ = model::join(lm_, std::make_shared<model::AutomatonModel>(automaton, *lm_, 1), 1);
    model::Ngram ngram = ngram_of(*table_);
    const auto values = std::make_shared<twist::AutomatonValues>(automaton, ngram, lm_->end_rule(), T);
    twist_ = twist::make_twist(
        "automaton",
        {.vocab_size = V, .first_column = lm_->without_end().hidden_size(), .automaton_values = values});
  }
  [[nodiscard]] smc::Problem problem() const { return {*joined_, prompt_, *potential_}; }

  std::vector<std::int64_t> prompt_{2};
  std::shared_ptr<const model::TabularModel> table_;
  std::shared_ptr<const model::LanguageModel> lm_, joined_;
  std::unique_ptr<potential::Potential> potential_;
  std::unique_ptr<twist::Trainable> twist_;
};

// Identity 3 of docs/method.md: with optimal twists every run returns log Z, and q is sigma.
TEST_P(ComputedTwistOf, AnNgramModelIsOptimal) {
  const comm::Communicator world = comm::Communicator::world();
  const twistor::exact::Enumeration exact = twistor::exact::enumerate(*lm_, *potential_, prompt_, T);
  for (const smc::ProposalKind kind : {smc::ProposalKind::twisted, smc::ProposalKind::tempered}) {
    const smc::Proposal proposal(*joined_, *twist_, kind, 1.0);
    for (const std::int64_t K : {1, 7})
      for (const smc::Trigger trigger : {smc::Trigger::every_step, smc::Trigger::never}) {
        smc::SweepOptions options{.particles = K, .length = T};
        options.trigger = trigger;
        EXPECT_NEAR(smc::sweep(problem(), proposal, options, world).log_z, exact.log_z(), 1e-10);
        const std::vector<std::int64_t> pinned = exact.draw(3, K);
        EXPECT_NEAR(smc::sweep(problem(), proposal, options, world, pinned).log_z, exact.log_z(), 1e-10);
      }
  }
  const smc::Proposal proposal(*joined_, *twist_, smc::ProposalKind::twisted);
  double mass = 0;
  for (std::int64_t i = 0; i < exact.size(); ++i) {
    const std::vector<double> log_q = smc::forced_pass(problem(), proposal, T, exact.sequence(i)).log_q;
    const double sum = std::accumulate(log_q.begin(), log_q.end(), 0.0);
    EXPECT_NEAR(sum, exact.log_sigma(exact.sequence(i)), 1e-10);
    mass += std::exp(sum);
  }
  EXPECT_NEAR(mass, 1, 1e-10) << "q draws nothing else";
}

INSTANTIATE_TEST_SUITE_P(
    Targets, ComputedTwistOf,
    testing::Values(Target{.name = "event", .ids = {1, 3}},
                    Target{.name = "floor", .ids = {0}, .log_floor = -3},
                    Target{.name = "bag", .scores = {0.5, -1, 0, 2, -0.3}},
                    Target{.name = "last", .scores = {0.5, -1, log_zero, 2, -0.3}, .mode = "last"},
                    Target{.name = "event_with_end", .ids = {1}, .can_end = true},
                    Target{.name = "bag_with_end", .scores = {0.5, -1, 0, 2, -0.3}, .can_end = true}),
    [](const auto& parameter) { return parameter.param.name; });

/// contains on models/tiny, with an n-gram model of its samples.
struct TinyTarget {
  TinyTarget() {
    potential::PotentialOptions options;
    options.potential = "contains";
    options.ids = {21};
    options.length = length;
    potential = potential::make_potential(options, {.lm = lm.get()});
  }
  [[nodiscard]] smc::Problem problem() const { return {*lm, prompt, *potential}; }
  static constexpr std::int64_t length = 4;
  std::shared_ptr<const model::LanguageModel> lm = test::load_tiny();
  std::vector<std::int64_t> prompt{3, 7, 11, 4};
  std::unique_ptr<potential::Potential> potential;
};

double log_z_of(const smc::Problem& problem, const twist::Twist& twist, std::uint64_t seed,
                const comm::Communicator& comm) {
  smc::SweepOptions options{.particles = 16, .length = TinyTarget::length};
  options.seed = seed;
  return smc::sweep(problem, {problem.lm, twist, smc::ProposalKind::twisted}, options, comm).log_z;
}

TEST(ComputedTwist, HasTheSameBitsOnAllRanksAndBeatsNone) {
  const TinyTarget tiny;
  const comm::Communicator world = comm::Communicator::world();
  twist::FormOptions form;
  form.form = "automaton";
  form.ngram_samples = 61;  // ranks have unequal shares
  const ComputedTwist shared = compute_twist(tiny.lm, tiny.problem(), form, TinyTarget::length, 5, world),
                      alone = compute_twist(tiny.lm, tiny.problem(), form, TinyTarget::length, 5,
                                            comm::Communicator::self());
  for (std::int64_t v = 0; v < tiny.lm->vocab_size(); ++v)
    for (std::int64_t n_left = 0; n_left < TinyTarget::length; ++n_left)
      ASSERT_EQ(shared.values->log_value(0, v, n_left), alone.values->log_value(0, v, n_left));
  const auto twist = twist::make_twist("automaton", {.vocab_size = tiny.lm->vocab_size(),
                                                     .first_column = tiny.lm->hidden_size(),
                                                     .automaton_values = shared.values});
  const twist::NoTwist none(tiny.lm->vocab_size());
  const smc::Problem problem{*shared.lm, tiny.prompt, *tiny.potential};
  double error = 0, error_of_none = 0;
  const double log_z =
      twistor::exact::enumerate(*tiny.lm, *tiny.potential, tiny.prompt, TinyTarget::length, {}).log_z();
  constexpr int n = 20;
  for (std::uint64_t seed = 0; seed < n; ++seed) {
    const double here = log_z_of(problem, *twist, seed, world);
    EXPECT_EQ(here, log_z_of(problem, *twist, seed, comm::Communicator::self()));
    error += std::pow(here - log_z, 2) / n;
    error_of_none += std::pow(std::max(log_z_of(problem, none, seed, world), log_z - 20) - log_z, 2) / n;
  }
  EXPECT_LT(error, 0.1 * error_of_none);
}

TEST(ComputedTwist, RefusesAPotentialThatIsNoAutomaton) {
  const TinyTarget tiny;
  const test::RoughPotential rough(1);
  twist::FormOptions form;
  form.form = "automaton";
  const comm::Communicator self = comm::Communicator::self();
  const Error error = test::error_of([&] {
    (void)compute_twist(tiny.lm, {*tiny.lm, tiny.prompt, rough}, form, TinyTarget::length, 5, self);
  });
  EXPECT_EQ(error.kind(), ErrorKind::config);
  EXPECT_EQ(test::error_of([&] { require_learned(form); }).kind(), ErrorKind::config);
}

}  // namespace
}  // namespace twistor::smc
