// SPDX-License-Identifier: Apache-2.0
// Learning on top of a computed twist: it begins as that, its gradient is the head's, and it ends closer to
// sigma than either alone.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "support/error_of.hpp"
#include "support/tiny_learning.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/computed_twist.hpp"
#include "twistor/smc/forced_pass.hpp"

namespace twistor::learn {
namespace {

/// An event on models/tiny, with the automaton beside the model.
struct ResidualTask {
  explicit ResidualTask(const comm::Communicator& comm) {
    potential::PotentialOptions options;
    options.potential = "contains";
    options.ids = {33};  // "sly"
    options.length = T;
    options.log_floor = -13;
    potential = potential::make_potential(options, {.lm = base.get()});
    form.form = "mlp";
    form.residual = true;
    form.ngram_order = 1;  // so that there is something to learn
    computed = smc::compute_twist(base, {*base, prompt, *potential}, form, T, 5, comm);
    for (const std::int64_t i : {0, 1, 2, 3, 4, 5, 6, 7})
      some.insert(some.end(), {(7 * i + 3) % 48, (5 * i + 21) % 48, (i * i) % 48});
  }
  [[nodiscard]] smc::Problem problem() const { return {*computed.lm, prompt, *potential}; }
  [[nodiscard]] std::unique_ptr<twist::Trainable> make(const std::string& name, bool is_on_top,
                                                       double init_scale = 0) const {
    return twist::make_twist(name, {.width = base->hidden_size(),
                                    .vocab_size = base->vocab_size(),
                                    .init_scale = init_scale,
                                    .seed = 8,
                                    .engine = base->engine(),
                                    .output_matrix = base->output_matrix(),
                                    .first_column = is_on_top ? base->hidden_size() : 0,
                                    .automaton_values = is_on_top ? computed.values : nullptr});
  }
  [[nodiscard]] at::Tensor hidden() const {
    const at::Tensor all = smc::hidden_states(problem(), T, some);
    return all.view({-1, all.size(2)});
  }

  static constexpr std::int64_t T = 3;
  std::shared_ptr<const model::LanguageModel> base = model::load_language_model(
      std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny", {device::Precision::float32, {}});
  // "once upon a time there was a kind fox . one day the fox met a hen . the"
  std::vector<std::int64_t> prompt{2, 3, 4, 5, 6, 7, 4, 32, 42, 8, 14, 15, 10, 42, 16, 4, 47, 8, 10}, some;
  std::unique_ptr<potential::Potential> potential;
  twist::FormOptions form;
  smc::ComputedTwist computed;
};

TEST(Residual, IsTheSumOfBothAndLearnsAsTheHeadDoes) {
  if (comm::Communicator::world().size() > 1) GTEST_SKIP() << "nothing here is collective";
  const ResidualTask task(comm::Communicator::self());
  const at::Tensor hidden = task.hidden();
  const auto computed = task.make("automaton", true);
  for (const char* name : {"linear", "mlp", "tied_mlp"}) {
    const at::Tensor start = twist::log_psi_next(*task.make(name, true), hidden);
    EXPECT_EQ((start - twist::log_psi_next(*computed, hidden)).abs().max().item<float>(), 0) << name;
    const auto sum = task.make(name, true, 1), head = task.make(name, false, 1);
    const at::Tensor expected = twist::log_psi_next(*computed, hidden) + twist::log_psi_next(*head, hidden);
    EXPECT_LT((twist::log_psi_next(*sum, hidden) - expected).abs().max().item<float>(), 1e-5) << name;
    std::vector<double> on_score;
    for (std::size_t i = 0; i < task.some.size(); ++i) on_score.push_back(std::cos(static_cast<double>(i)));
    const auto gradient_of = [&](const twist::Trainable& twist) {
      std::vector<std::vector<float>> out;
      twist.gradient({.hidden = hidden, .length = task.T, .tokens = task.some, .on_score = on_score},
                     [&](twist::GradientBlock block) { out.push_back(block.numbers()); });
      return out;
    };
    EXPECT_EQ(gradient_of(*sum), gradient_of(*head)) << name;
    EXPECT_FALSE(gradient_of(*sum).empty());
  }
}

/// The mean of log q of samples of sigma: KL(sigma || q) is a constant less it.
double mean_log_q(const ResidualTask& task, const twist::Twist& twist,
                  const std::vector<std::int64_t>& tokens) {
  const smc::ForcedPass pass = smc::forced_pass(
      task.problem(), smc::Proposal(*task.computed.lm, twist, smc::ProposalKind::twisted), task.T, tokens);
  return std::accumulate(pass.log_q.begin(), pass.log_q.end(), 0.0) /
         static_cast<double>(tokens.size() / static_cast<std::size_t>(task.T));
}

void learn(const ResidualTask& task, twist::Trainable& twist, const exact::Source& source, std::int64_t n,
           const comm::Communicator& comm) {
  const smc::Problem problem = task.problem();
  const Positives positives = source.n > 0 ? Positives::exact : Positives::weighted;
  Trainer trainer(problem, twist,
                  make_objective("ctl", {.batch = 64, .positive_batch = 64, .positives = positives}),
                  {.length = task.T, .n_shards = 8, .adam = {.learning_rate = 1e-3}}, source, comm);
  for (std::int64_t i = 0; i < n; ++i) (void)trainer.update();
}

TEST(Residual, LearnsTheSameBitsOnAllRanks) {
  const comm::Communicator world = comm::Communicator::world(), self = comm::Communicator::self();
  const ResidualTask task(world), alone(self);
  const auto shared = task.make("mlp", true), single = alone.make("mlp", true);
  learn(task, *shared, {}, 3, world);
  learn(alone, *single, {}, 3, self);
  EXPECT_TRUE(test::values_of(shared->parameters()) == test::values_of(single->parameters()));
}

TEST(Residual, EndsCloserToSigmaThanEitherAlone) {
  const comm::Communicator world = comm::Communicator::world();
  if (world.size() > 1) GTEST_SKIP() << "seconds, and the same bits as on one rank";
  const ResidualTask task(world);
  const twistor::exact::Enumeration sigma =
      twistor::exact::enumerate(*task.base, *task.potential, task.prompt, task.T);
  const exact::Source source{4000, [&](std::int64_t i) { return sigma.draw(9, i); }};
  std::vector<std::int64_t> fresh;
  for (std::int64_t i = 0; i < 1000; ++i)
    for (const std::int64_t token : sigma.draw(10, i)) fresh.push_back(token);
  const auto both = task.make("mlp", true), head = task.make("mlp", false);
  learn(task, *both, source, 15, world);
  learn(task, *head, source, 15, world);
  const double of_computed = mean_log_q(task, *task.make("automaton", true), fresh),
               of_head = mean_log_q(task, *head, fresh), of_both = mean_log_q(task, *both, fresh);
  RecordProperty("computed_head_both", fmt::format("{} {} {}", of_computed, of_head, of_both));
  EXPECT_GT(of_both, of_computed + 0.05) << of_head;
  EXPECT_GT(of_both, of_head + 0.1) << of_computed;
}

TEST(Residual, RefusesAnotherLink) {
  const comm::Communicator self = comm::Communicator::self();
  const ResidualTask task(self);
  const std::string said = test::message_of([&] {
    return twist::make_twist("mlp", {.width = task.base->hidden_size(),
                                     .vocab_size = task.base->vocab_size(),
                                     .link = twist::Link::log_sigmoid,
                                     .engine = task.base->engine(),
                                     .first_column = task.base->hidden_size(),
                                     .automaton_values = task.computed.values});
  });
  EXPECT_THAT(said, testing::HasSubstr("set train.objective = ctl, or twist.residual = false"));
}

}  // namespace
}  // namespace twistor::learn
