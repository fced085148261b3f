// SPDX-License-Identifier: Apache-2.0
// Something to learn with the tiny model, in milliseconds for each update.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/comm/node_memory.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/learn/registry.hpp"
#include "twistor/learn/trainer.hpp"
#include "twistor/model/load.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::test {

struct TinyTask {
  explicit TinyTask(device::Precision precision = device::Precision::float32,
                    std::shared_ptr<const device::Engine> engine = device::cpu_engine())
      : lm(model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny",
                                      {precision, {}, std::move(engine)})),
        p(precision) {
    std::vector<std::int64_t> indices(20);
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    exact_tokens = exact::sample_base(*lm, prompt, T, indices, 4).tokens;
  }
  static constexpr std::int64_t T = 5;
  std::unique_ptr<model::LanguageModel> lm;
  device::Precision p;
  bool has_values_in_common = false;  // of output matrices, by the ranks that learn together
  std::vector<std::int64_t> prompt{3, 7, 11, 4};
  RoughPotential potential{3.0};
  std::vector<std::int64_t> exact_tokens;  // stand-ins; their law does not matter here
  exact::Source source{20, [this](std::int64_t i) {
                         return std::vector<std::int64_t>(exact_tokens.begin() + i * T,
                                                          exact_tokens.begin() + (i + 1) * T);
                       }};
  smc::Problem problem{*lm, prompt, potential};
};

/// A twist and its trainer. `task` and `comm` must outlive it.
struct Learner {
  Learner(const TinyTask& task, const std::string& form, std::unique_ptr<learn::Objective> objective,
          const comm::Communicator& comm, std::int64_t n_shards = 8, learn::TrainOptions options = {})
      : twist(twist::make_twist(form, {.width = task.lm->feature_size(),
                                       .vocab_size = task.lm->vocab_size(),
                                       .precision = task.p,
                                       .init_scale = 1.0,
                                       .seed = 8,
                                       .link = objective->link(),
                                       .has_value = objective->has_value(),
                                       .engine = task.lm->engine(),
                                       .output_matrix = task.lm->output_matrix(),
                                       .common_memory = common_memory_of(task, comm)})),
        trainer(task.problem, *twist, std::move(objective), with_task(options, n_shards), task.source, comm) {
  }

  const std::vector<twist::Parameter>& learn(std::int64_t updates) {
    for (std::int64_t i = 0; i < updates; ++i) last = trainer.update();
    return twist->parameters();
  }

  std::unique_ptr<twist::Trainable> twist;
  learn::Trainer trainer;
  learn::UpdateReport last;

 private:
  static CommonMemoryMaker common_memory_of(const TinyTask& task, const comm::Communicator& comm) {
    const auto node = std::make_shared<comm::Communicator>(comm.node());
    if (!task.has_values_in_common || node->size() == 1) return {};
    return [node](std::size_t bytes) { return comm::common_memory(*node, bytes); };
  }
  static learn::TrainOptions with_task(learn::TrainOptions options, std::int64_t n_shards) {
    options.length = TinyTask::T;
    options.n_shards = n_shards;
    options.adam.learning_rate = 3e-3;
    return options;
  }
};

/// A state in memory.
class MemoryState final : public learn::StateVisitor {
 public:
  bool is_restoring() const override { return restores; }
  void count(std::string_view name, std::int64_t& value) override { pass(counts, name, value); }
  void text(std::string_view name, std::string& value) override { pass(texts, name, value); }
  void ids(std::string_view name, std::vector<std::int64_t>& value) override { pass(id_lists, name, value); }
  void numbers(std::string_view name, std::vector<double>& value) override {
    pass(number_lists, name, value);
  }
  void save(std::string_view folder, const twist::Parameter& p, std::span<const float> values) override {
    arrays[std::string(folder) + "/" + p.name] = {values.begin(), values.end()};
  }
  std::span<const float> saved(std::string_view folder, const twist::Parameter& p) const override {
    return arrays.at(std::string(folder) + "/" + p.name);
  }

  bool restores = false;
  std::map<std::string, std::int64_t, std::less<>> counts;
  std::map<std::string, std::string, std::less<>> texts;
  std::map<std::string, std::vector<std::int64_t>, std::less<>> id_lists;
  std::map<std::string, std::vector<double>, std::less<>> number_lists;
  std::map<std::string, std::vector<float>, std::less<>> arrays;

 private:
  template <class T>
  void pass(std::map<std::string, T, std::less<>>& stored, std::string_view name, T& value) {
    if (restores) {
      value = stored.find(name)->second;
    } else {
      stored[std::string(name)] = value;
    }
  }
};

inline std::vector<std::vector<float>> values_of(const std::vector<twist::Parameter>& parameters) {
  std::vector<std::vector<float>> out;
  for (const twist::Parameter& p : parameters) out.emplace_back(p.value.begin(), p.value.end());
  return out;
}

}  // namespace twistor::test
