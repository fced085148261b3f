// SPDX-License-Identifier: Apache-2.0
// A sampling problem with every answer known: a random tabular model, a rough potential, twists by table.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "twistor/base/philox.hpp"
#include "twistor/exact/enumeration.hpp"
#include "twistor/model/tabular.hpp"
#include "twistor/smc/sampler.hpp"
#include "twistor/twist/twist.hpp"

namespace twistor::test {

using Tokens = std::vector<std::int64_t>;

/// log psi_t(s_{1:t}) as a function of the generated prefix.
class TableTwist final : public twist::Twist {
 public:
  TableTwist(const model::TabularModel& lm, std::size_t prompt_length,
             std::function<double(const Tokens&)> log_psi)
      : lm_(lm), prompt_length_(prompt_length), log_psi_(std::move(log_psi)) {}
  std::int64_t vocab_size() const override { return lm_.vocab_size(); }
  at::Tensor features(const at::Tensor& hidden) const override { return hidden; }
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override {
    for (std::int64_t r = 0; r < features.size(0); ++r) {
      Tokens prefix = lm_.prefix_of(features.const_data_ptr<double>()[r * features.stride(0)]);
      prefix.erase(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(prompt_length_));
      prefix.push_back(0);
      for (std::int64_t v = v_begin; v < v_end; ++v) {
        prefix.back() = v;
        out.mutable_data_ptr<double>()[r * out.stride(0) + v - v_begin] = log_psi_(prefix);
      }
    }
  }
  std::string form() const override { return "table"; }

 private:
  const model::TabularModel& lm_;
  std::size_t prompt_length_;
  std::function<double(const Tokens&)> log_psi_;
};

/// A number in (-1, 1) that depends on a prefix.
inline double rough(const Tokens& prefix, std::uint64_t seed) {
  std::uint64_t code = 1;
  for (const std::int64_t token : prefix) code = code * 31 + static_cast<std::uint64_t>(token) + 1;
  return 2 * Philox(seed, Stream::test, 0, code & 0xFFFFFFFFFFFFu).uniform() - 1;
}

/// phi = 1.
class FlatPotential final : public potential::Potential {
 public:
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    return std::vector<double>(static_cast<std::size_t>(s.size()), 0);
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "flat"; }
};

class RoughPotential final : public potential::Potential {
 public:
  explicit RoughPotential(double spread) : spread_(spread) {}
  std::vector<double> log_phi(const potential::Sequences& s) const override {
    std::vector<double> out;
    for (std::int64_t i = 0; i < s.size(); ++i) {
      const auto begin = s.tokens.begin() + static_cast<std::ptrdiff_t>(i * s.length);
      out.push_back(spread_ * (rough(Tokens(begin, begin + static_cast<std::ptrdiff_t>(s.length)), 5) - 1));
    }
    return out;
  }
  double log_phi_bound() const override { return 0; }
  std::string description() const override { return "rough"; }

 private:
  double spread_;
};

/// V = 4, T = 4 after a prompt of one token.
struct TabularProblem {
  static constexpr std::int64_t V = 4, T = 4;
  explicit TabularProblem(double spread = 2.0) : potential(spread) {}

  model::TabularModel lm = model::TabularModel::random(V, 1 + T, 11, 0.7);
  Tokens prompt{2};
  RoughPotential potential;
  twistor::exact::Enumeration exact =
      twistor::exact::enumerate(lm, potential, prompt, T, {.keep_twists = true});
  TableTwist rough_twist{lm, 1, [](const Tokens& prefix) { return 1.2 * rough(prefix, 9); }};
  TableTwist optimal_twist{lm, 1, [this](const Tokens& prefix) { return exact.log_optimal_twist(prefix); }};

  [[nodiscard]] smc::Problem problem() const { return {lm, prompt, potential}; }
  /// Defaults for K particles over this problem's T tokens.
  [[nodiscard]] static smc::SweepOptions sweep_options(std::int64_t K) {
    return {.particles = K, .length = T};
  }
};

}  // namespace twistor::test
