// Learning: the same bits on every number of ranks, a zero gradient at the optimum, and twists that get
// better.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "support/tabular_problem.hpp"
#include "twistor/base/error.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/learn/contrast.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

struct TinyTask {
  explicit TinyTask(device::Precision precision = device::Precision::float32)
      : lm(model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny",
                                      {precision, {}})),
        p(precision) {
    std::vector<std::int64_t> indices(20);
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    exact_tokens = exact::sample_base(*lm, prompt, T, indices, 4).tokens;
  }
  static constexpr std::int64_t T = 5;
  std::unique_ptr<model::LanguageModel> lm;
  device::Precision p;
  std::vector<std::int64_t> prompt{3, 7, 11, 4};
  test::RoughPotential potential{3.0};
  std::vector<std::int64_t> exact_tokens;  // stand-ins; their law does not matter here
  exact::Source source{20, [this](std::int64_t i) {
                         return std::vector<std::int64_t>(exact_tokens.begin() + i * T,
                                                          exact_tokens.begin() + (i + 1) * T);
                       }};

  [[nodiscard]] std::vector<twist::Parameter> learn(const std::string& form, Positives positives,
                                                    const comm::Communicator& comm, std::int64_t updates,
                                                    std::vector<double>* losses = nullptr) const {
    twist::HeadTwist twist(form, lm->hidden_size(), lm->vocab_size(), p, 1.0, 8);
    TrainOptions options;
    options.length = T;
    options.batch = 26;
    options.positive_batch = 11;
    options.positives = positives;
    options.adam.learning_rate = 3e-3;
    const smc::Problem problem{*lm, prompt, potential};
    Trainer trainer(problem, twist, options, source, comm);
    for (std::int64_t i = 0; i < updates; ++i) {
      const double loss = trainer.update().loss;
      if (losses != nullptr) losses->push_back(loss);
    }
    return twist.parameters();
  }
};

void expect_same_bits(const std::vector<twist::Parameter>& a, const std::vector<twist::Parameter>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].value == b[i].value) << a[i].name;
}

TEST(Training, IsTheSameToTheLastBitOnEveryNumberOfRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  for (const auto precision : {device::Precision::float32, device::Precision::bfloat16}) {
    const TinyTask task(precision);
    for (const char* form : {"linear", "mlp"})
      for (const Positives positives : {Positives::exact, Positives::weighted, Positives::both})
        expect_same_bits(task.learn(form, positives, world, 4), task.learn(form, positives, self, 4));
  }
}

TEST(Training, ChangesTheTwist) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  const auto a = task.learn("mlp", Positives::exact, self, 0),
             b = task.learn("mlp", Positives::exact, self, 1);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NE(a[i].value, b[i].value) << a[i].name;
}

TEST(Training, RefusesMoreRanksThanShards) {
  const comm::Communicator world = comm::Communicator::world();
  const TinyTask task;
  twist::HeadTwist twist("linear", task.lm->hidden_size(), task.lm->vocab_size(), task.p, 1.0, 8);
  TrainOptions options;
  options.n_shards = world.size() - 1;
  options.length = TinyTask::T;
  const smc::Problem problem{*task.lm, task.prompt, task.potential};
  EXPECT_THROW(Trainer(problem, twist, options, task.source, world), Error);
}

TEST(Training, GoesOnWithItsOwnObjectiveAlone) {
  const comm::Communicator self = comm::Communicator::self();
  const TinyTask task;
  twist::HeadTwist twist("linear", task.lm->hidden_size(), task.lm->vocab_size(), task.p, 1.0, 8);
  TrainOptions options;
  options.objective = objective_from_name("ctl");
  options.length = TinyTask::T;
  const smc::Problem problem{*task.lm, task.prompt, task.potential};
  Trainer trainer(problem, twist, options, task.source, self);
  (void)trainer.update();
  TrainerState state = trainer.state();
  EXPECT_EQ(state.objective, "ctl");
  EXPECT_NO_THROW(trainer.resume(state));
  state.objective = "sixo";
  try {
    trainer.resume(state);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::config);
    EXPECT_THAT(error.what(), testing::HasSubstr("train.objective = sixo, this run has ctl"));
  }
  EXPECT_THROW((void)objective_from_name("sixo"), Error);
}

/// All V^T sequences as one population with a flat q: softmaxes over it are exact expectations.
smc::Population every_sequence(const test::TabularProblem& tabular, const twist::Twist& twist,
                               std::vector<double>& log_phi) {
  std::int64_t n = 1;
  for (std::int64_t t = 0; t < tabular.T; ++t) n *= tabular.V;
  std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) ids[static_cast<std::size_t>(i)] = i;
  smc::Population p(tabular.T, ids);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = tabular.T - 1, code = i; t >= 0; --t, code /= tabular.V)
      p.tokens[p.at(i, t)] = code % tabular.V;
  const smc::Proposal proposal(tabular.lm, twist, smc::ProposalKind::base);
  const smc::ForcedPass pass = smc::forced_pass(tabular.problem(), proposal, tabular.T, p.tokens);
  p.log_p0 = pass.log_p0;
  p.log_psi = pass.log_psi;
  std::fill(p.log_q.begin(), p.log_q.end(), -std::log(static_cast<double>(tabular.V)));
  log_phi = tabular.potential.log_phi({tabular.prompt, p.tokens, tabular.T});
  return p;
}

/// Gradient of the exact CTL loss by log psi_t(s_{1:t}), for every prefix.
std::map<test::Tokens, double> exact_gradient(const test::TabularProblem& tabular,
                                              const twist::Twist& twist) {
  std::vector<double> log_phi;
  const smc::Population p = every_sequence(tabular, twist, log_phi);
  const Contrast c = contrastive_weights(p, log_phi, 1.0, comm::Communicator::self());
  std::map<test::Tokens, double> gradient;
  for (std::int64_t i = 0; i < p.size(); ++i)
    for (std::int64_t t = 0; t < p.T; ++t) {
      const auto begin = p.tokens.begin() + i * p.T;
      gradient[test::Tokens(begin, begin + t + 1)] += c.weight[p.at(i, t)];
    }
  return gradient;
}

TEST(Contrast, ExactGradientVanishesAtTheOptimalTwistsOnly) {
  const test::TabularProblem tabular;
  for (const auto& [prefix, g] : exact_gradient(tabular, tabular.optimal_twist)) EXPECT_NEAR(g, 0.0, 1e-13);
  double largest = 0;
  for (const auto& [prefix, g] : exact_gradient(tabular, tabular.rough_twist))
    largest = std::max(largest, std::abs(g));
  EXPECT_GT(largest, 1e-3);  // the control
}

TEST(Contrast, WithoutPositivesNothingIsLearned) {
  const comm::Communicator world = comm::Communicator::world();
  const test::TabularProblem tabular;
  std::vector<double> log_phi;
  const smc::Population p = every_sequence(tabular, tabular.rough_twist, log_phi);
  std::fill(log_phi.begin(), log_phi.end(), -std::numeric_limits<double>::infinity());
  EXPECT_FALSE(contrastive_weights(p, log_phi, 1.0, world).has_positives);
  EXPECT_TRUE(contrastive_weights(p, log_phi, 0.0, world).has_positives);
}

}  // namespace
}  // namespace twistor::learn
