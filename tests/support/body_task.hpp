// SPDX-License-Identifier: Apache-2.0
// A twist with a body of its own, and something that it can learn.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/exact/base_sampler.hpp"
#include "twistor/exact/source.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/model/joined_model.hpp"
#include "twistor/model/load.hpp"
#include "twistor/model/trainable_decoder.hpp"
#include "twistor/twist/registry.hpp"

namespace twistor::test {

struct BodyChoice {
  const char* name;
  std::optional<model::LoraOptions> lora;
};
inline const std::vector<BodyChoice> bodies{{"copy", std::nullopt}, {"lora", model::LoraOptions{3, 6, {}}}};

/// A model with a twist's body beside it, and something to learn.
struct BodyTask {
  BodyTask(const std::filesystem::path& path, const BodyChoice& choice, std::int64_t length,
           std::int64_t end_token = -1, device::Precision precision = device::Precision::float32)
      : T(length), p(precision), base(model::load_language_model(path, {precision, {}})) {
    model::TrainableOptions options{precision};
    options.lora = choice.lora;
    body = model::load_trainable_decoder(path, options);
    lm = std::make_shared<model::JoinedModel>(
        std::vector<std::shared_ptr<const model::LanguageModel>>{base, body->sampler()});
    if (end_token >= 0) lm = std::make_shared<model::AbsorbingModel>(lm, end_token, 2);
    std::vector<std::int64_t> indices(20);
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    exact_tokens = exact::sample_base(*lm, prompt, T, indices, 4).tokens;
  }

  [[nodiscard]] std::unique_ptr<twist::Trainable> make_twist(const std::string& form, double init_scale = 1,
                                                             bool has_value = false) const {
    return twist::make_twist(form, {.width = base->hidden_size(),
                                    .vocab_size = base->vocab_size(),
                                    .precision = p,
                                    .init_scale = init_scale,
                                    .seed = 8,
                                    .has_value = has_value,
                                    .engine = base->engine(),
                                    .output_matrix = base->output_matrix(),
                                    .first_column = base->hidden_size(),
                                    .body = body,
                                    .prompt = prompt,
                                    .base = base.get()});
  }
  [[nodiscard]] smc::Problem problem() const { return {*lm, prompt, potential}; }

  std::int64_t T;
  device::Precision p;
  std::shared_ptr<const model::LanguageModel> base, lm;
  std::shared_ptr<model::TrainableDecoder> body;
  std::vector<std::int64_t> prompt{3, 5};
  RoughPotential potential{3.0};
  std::vector<std::int64_t> exact_tokens;  // stand-ins; their law does not matter here
  exact::Source source{20, [this](std::int64_t i) {
                         return std::vector<std::int64_t>(exact_tokens.begin() + i * T,
                                                          exact_tokens.begin() + (i + 1) * T);
                       }};
};

/// All V^T of them, (V^T, T).
[[nodiscard]] inline std::vector<std::int64_t> all_texts(std::int64_t V, std::int64_t T) {
  std::int64_t n = 1;
  for (std::int64_t t = 0; t < T; ++t) n *= V;
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(n * T));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t t = T - 1, code = i; t >= 0; --t, code /= V)
      tokens[static_cast<std::size_t>(i * T + t)] = code % V;
  return tokens;
}

}  // namespace twistor::test
