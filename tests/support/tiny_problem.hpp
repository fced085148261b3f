// SPDX-License-Identifier: Apache-2.0
// A sampling problem on the language model that ships with the project: a real decoder, and a rough
// potential.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/model/load.hpp"
#include "twistor/smc/sampler.hpp"

namespace twistor::test {

[[nodiscard]] inline std::unique_ptr<model::LanguageModel> load_tiny(
    device::Precision precision = device::Precision::float32) {
  return model::load_language_model(std::filesystem::path(TWISTOR_SOURCE_DIR) / "models/tiny",
                                    {precision, {}});
}

struct TinyProblem {
  explicit TinyProblem(double spread, std::vector<std::int64_t> prompt_ids = {3, 7, 11, 4},
                       device::Precision p = device::Precision::float32)
      : precision(p), lm(load_tiny(p)), prompt(std::move(prompt_ids)), potential(spread) {}

  device::Precision precision;
  std::unique_ptr<model::LanguageModel> lm;
  std::vector<std::int64_t> prompt;
  RoughPotential potential;
  [[nodiscard]] smc::Problem problem() const { return {*lm, prompt, potential}; }
};

}  // namespace twistor::test
