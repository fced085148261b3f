// Objectives by name: the registry that a new one adds one line to.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "twistor/learn/objective.hpp"

namespace twistor::learn {

/// Where positive samples come from, for objectives that have such.
enum class Positives {
  exact,     ///< exact samples of sigma
  weighted,  ///< samples of q with weights softmax(log p0 phi / q), from the batch that q gives anyway
  both,      ///< half the weight each
};
[[nodiscard]] Positives positives_from_name(std::string_view name);  ///< throws Error(config)

/// What objectives are made of; each reads what it has use for.
struct ObjectiveOptions {
  std::int64_t batch = 64;           ///< samples of q per update, all ranks together
  std::int64_t positive_batch = 64;  ///< exact samples per update
  Positives positives = Positives::exact;
  std::int64_t inner_epochs = 1;  ///< steps of Adam with each batch
  std::int64_t anneal = 0;        ///< first updates in which annealed_power() may lower phi's exponent
  double anneal_ess = 8;          ///< its least_ess
};

struct ObjectiveKind {
  std::string_view name;
  std::unique_ptr<Objective> (*make)(const ObjectiveOptions& options);
};
/// All that a run can ask for.
[[nodiscard]] std::span<const ObjectiveKind> objective_kinds();
/// Their names, as train.objective takes them.
[[nodiscard]] std::vector<std::string_view> objective_names();

/// Throws Error(config) on a name that is not among `kinds`, listing those that are.
[[nodiscard]] std::unique_ptr<Objective> make_objective(
    std::string_view name, const ObjectiveOptions& options,
    std::span<const ObjectiveKind> kinds = objective_kinds());

}  // namespace twistor::learn
