// SPDX-License-Identifier: Apache-2.0
// Policies as their user declares them, loaded beside the base model.
#pragma once

#include <filesystem>
#include <string>

#include "twistor/model/paired_models.hpp"
#include "twistor/smc/options.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::smc {

struct LoadedPolicy {
  std::string name;
  model::PairedModels models;
  Truncation truncation;

  /// For a Proposal over models.base.
  [[nodiscard]] Policy view() const { return {*models.other, truncation}; }
  /// Different for policies that draw differently.
  [[nodiscard]] std::string identity() const;
  /// One line for people.
  [[nodiscard]] std::string description() const;
};

/// Where paths are looked for, and what is taken from the base model.
struct PolicyContext {
  std::filesystem::path config_file;  ///< see config::input_path()
  std::string model_path;             ///< model.path
  model::LoadOptions load;            ///< the base model's
  model::PairOptions pair;
};

/// *Local*, or collective over the ranks that share load.memory. `name` is that of its section, "policy" or
/// "policy.NAME". Throws as model::load_beside() and config::input_path().
[[nodiscard]] LoadedPolicy load_policy(const std::string& name, const PolicyOptions& options,
                                       PolicyContext context);

}  // namespace twistor::smc
