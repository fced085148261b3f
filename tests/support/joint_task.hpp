// SPDX-License-Identifier: Apache-2.0
// A conditional target with every answer known: a random GPT-2 of 7 tokens, 3 of them to generate and one to
// observe.
#pragma once

#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/random_model.hpp"
#include "support/temporary_folder.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/exact/joint_sampler.hpp"
#include "twistor/learn/conditional.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/model/load.hpp"
#include "twistor/potential/registry.hpp"
#include "twistor/smc/conditional.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::test {

struct JointTask {
  static constexpr std::int64_t V = 7, T = 3, n_sequences = V * V * V;

  /// All sequences of T tokens.
  [[nodiscard]] static std::vector<std::int64_t> all_sequences() {
    std::vector<std::int64_t> all;
    for (std::int64_t code = 0; code < n_sequences; ++code)
      for (const std::int64_t place : {V * V, V, std::int64_t{1}}) all.push_back(code / place % V);
    return all;
  }

  /// KL(q || sigma) given o, over all sequences.
  [[nodiscard]] double kl(const twist::Twist& twist, std::int64_t o) const {
    const auto given = problems.given({&o, 1});
    const smc::Problem& problem = given->problem();
    const exact::Enumeration sigma = exact::enumerate(*lm, problem.potential, prompt, T);
    const std::vector<std::int64_t> all = all_sequences();
    const smc::ForcedPass q =
        smc::forced_pass(problem, smc::Proposal(problem.lm, twist, smc::ProposalKind::twisted), T, all);
    double sum = 0;
    for (std::size_t i = 0; i < all.size(); i += T) {
      const auto first = q.log_q.begin() + static_cast<std::ptrdiff_t>(i);
      const double log_q = std::accumulate(first, first + T, 0.0);
      sum += std::exp(log_q) * (log_q - sigma.log_sigma(std::span(all).subspan(i, T)));
    }
    return sum;
  }
  /// Its mean over observations, each of which has the probability Z_o.
  [[nodiscard]] double mean_kl(const twist::Twist& twist) const {
    double sum = 0;
    for (std::int64_t o = 0; o < V; ++o) {
      const double log_z =
          exact::enumerate(*lm, problems.given({&o, 1})->problem().potential, prompt, T).log_z();
      sum += std::exp(log_z) * kl(twist, o);
    }
    return sum;
  }

  [[nodiscard]] std::unique_ptr<potential::Potential> continuation() const {
    potential::PotentialOptions options;
    options.ids = {0};
    return potential::make_potential(options, {.lm = lm.get()});
  }

  TemporaryFolder folder;
  std::shared_ptr<const model::LanguageModel> lm =
      model::load_language_model(make_random_gpt2(folder / "gpt2", V, 32, 2, 2, 8, 0.3F));
  std::vector<std::int64_t> prompt{2, 5};
  std::unique_ptr<potential::Potential> potential = continuation();
  smc::ConditionalProblem problems{lm, nullptr, prompt, *potential, model::Condition::tokens};
  exact::JointSampler pairs{*lm, prompt, T, *potential, model::Condition::tokens, 1};
  std::unique_ptr<smc::GivenProblem> any = problems.given(std::vector<std::int64_t>{0});
};

/// A conditional twist and its trainer. `task` and `comm` must outlive it.
struct JointLearner {
  JointLearner(const JointTask& task, const std::string& name, const learn::ObjectiveOptions& o,
               const comm::Communicator& comm, const learn::TrainOptions& options,
               const std::string& form = "mlp")
      : conditional{task.problems, task.pairs, o.observations},
        objective(learn::make_objective(name, o.per_observation())),
        twist(twist::make_twist(form, {.width = task.lm->feature_size(),
                                       .vocab_size = JointTask::V,
                                       .link = objective->link(),
                                       .has_value = objective->has_value(),
                                       .condition_width = task.problems.encoding_width()})),
        trainer(task.any->problem(), *twist, std::move(objective), options, conditional, comm) {}

  learn::Conditional conditional;
  std::unique_ptr<learn::Objective> objective;
  std::unique_ptr<twist::Trainable> twist;
  learn::Trainer trainer;
};

}  // namespace twistor::test
