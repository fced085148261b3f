// SPDX-License-Identifier: Apache-2.0
// The power potential: one teacher-forced pass over s after the shared prompt.
#include "power.hpp"

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/model/log_prob.hpp"
#include "twistor/model/prefill.hpp"

namespace twistor::potential {
namespace {

constexpr const char* making_power = "making the potential 'power'";

}  // namespace

PowerPotential::PowerPotential(const model::LanguageModel& lm, double alpha, std::int64_t n_together)
    : lm_(lm), alpha_(alpha), n_together_(n_together) {
  TWISTOR_CHECK(alpha > 0 && std::isfinite(alpha), ErrorKind::config, making_power,
                fmt::format("target.alpha is {} (expected a positive number)", alpha));
}

std::vector<double> PowerPotential::log_phi(const Sequences& sequences) const {
  const std::int64_t n = sequences.size(), T = sequences.length;
  std::vector<double> result;
  if (n == 0) return result;
  const model::Prefill prompt = model::prefill(lm_, sequences.prompt);
  for (std::int64_t begin = 0; begin < n; begin += n_together_) {
    const std::int64_t rows = std::min(n_together_, n - begin);
    const auto s =
        sequences.tokens.subspan(static_cast<std::size_t>(begin * T), static_cast<std::size_t>(rows * T));
    at::Tensor hidden = prompt.hidden.unsqueeze(1).expand({rows, 1, prompt.hidden.size(1)});
    if (T > 1) {
      std::vector<std::int64_t> inputs;  // all but the last token of each
      for (std::int64_t i = 0; i < rows; ++i)
        inputs.insert(inputs.end(), s.begin() + i * T, s.begin() + (i + 1) * T - 1);
      const auto cache = prompt.fork(rows);
      hidden = at::cat({hidden, lm_.forward(inputs, *cache)}, 1);
    }
    const std::vector<double> log_p =
        model::log_prob_of_tokens(lm_, hidden.reshape({rows * T, hidden.size(2)}).contiguous(), s);
    for (std::int64_t i = 0; i < rows; ++i) {
      const double log_p0 = std::accumulate(log_p.begin() + i * T, log_p.begin() + (i + 1) * T, 0.0);
      result.push_back(log_p0 == log_zero ? log_zero : (alpha_ - 1) * log_p0);
    }
  }
  return result;
}

double PowerPotential::log_phi_bound() const {
  return alpha_ >= 1 ? 0 : -log_zero;
}

std::string PowerPotential::description() const {
  return fmt::format("power: p0(s)^({} - 1), the model's texts at temperature 1 / {}", alpha_, alpha_);
}

std::unique_ptr<Potential> make_power(const PotentialOptions& options, const TargetContext& context) {
  TWISTOR_CHECK(context.lm != nullptr, ErrorKind::config, making_power, "it needs a language model",
                "set model.path");
  return std::make_unique<PowerPotential>(*context.lm, options.alpha);
}

}  // namespace twistor::potential
