// SPDX-License-Identifier: Apache-2.0
// Drawing the islands of prompts.
#include "islands.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/stopwatch.hpp"

namespace twistor::learn {

BatchSource PromptIslands::source_of(const Island& island, std::int64_t length, bool may_resample) const {
  return {island.problem(), length, Shards(1, self_), no_exact_samples(), self_, {may_resample, {}}};
}

void PromptIslands::draw(const Objective& objective, const twist::Trainable& twist, std::uint64_t seed,
                         std::int64_t update, UpdateTimes& times) {
  mine_.clear();
  for (const std::int64_t i : indices()) {
    const LearningPrompt& one = prompts_.all[order_.of_turn(update * n_ + i)];
    Island& island = mine_.emplace_back();
    island.seed = derive_seed(seed, Stream::island, static_cast<std::uint64_t>(i));
    island.prompted = std::make_unique<smc::PromptedProblem>(prompts_.lm, one.prompt, prompts_.potential);
    BatchSource source = source_of(island, one.length, objective.may_resample());
    std::int64_t n_sweeps = 0, n_own = 0;
    for (const Request& request : objective.wants()) {
      const bool is_own = is_population(request.source);  // of positives
      const std::int64_t number = is_own ? n_own++ : n_sweeps++;
      island.batches.push_back(timed(is_own ? times.positives_s : times.sample_s, [&] {
        return source.draw(request, number, twist, island.seed, times.sweep);
      }));
    }
  }
}

void PromptIslands::rescore(const twist::Trainable& twist) {
  for (Island& island : mine_) {
    const BatchSource source = source_of(island, island.batches.front().samples.T, true);
    for (Batch& batch : island.batches) source.rescore(batch, twist);
  }
}

}  // namespace twistor::learn
