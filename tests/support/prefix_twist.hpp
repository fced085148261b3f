// SPDX-License-Identifier: Apache-2.0
// Twists and targets of which everything can be enumerated: every prefix has a parameter of its own, so that
// no term of a gradient can hide.
#pragma once

#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "support/tabular_problem.hpp"
#include "twistor/base/log_space.hpp"
#include "twistor/model/absorbing.hpp"
#include "twistor/smc/forced_pass.hpp"
#include "twistor/twist/trainable.hpp"

namespace twistor::test::prefixes {

constexpr std::int64_t V = 4, T = 4, end_token = 1;

/// log psi of every prefix of up to T tokens is a parameter.
class PrefixTwist final : public twist::Trainable {
 public:
  explicit PrefixTwist(const model::TabularModel& lm, twist::Link link = twist::Link::identity)
      : lm_(lm), link_(link) {
    std::int64_t n = 1;
    for (std::int64_t t = 0; t < T; ++t) n = n * (V + 1) + V + 1;
    for (const char* name : {"table", "values"})
      parameters_.push_back({name, {n, 1}, std::vector<float>(static_cast<std::size_t>(n)), false});
  }
  static std::size_t place(const Tokens& prefix) {
    std::size_t code = 0;
    for (const std::int64_t token : prefix) code = code * (V + 1) + static_cast<std::size_t>(token) + 1;
    return code;
  }
  void set(const std::function<double(const Tokens&)>& log_psi) {
    for_each_prefix([&](const Tokens& prefix) {
      parameters_[0].value[place(prefix)] = static_cast<float>(log_psi(prefix));
    });
  }
  template <class Use>
  static void for_each_prefix(const Use& use) {
    std::int64_t n = 1;
    for (std::int64_t t = 1; t <= T; ++t) {
      n *= V;
      for (std::int64_t code = 0; code < n; ++code) {
        Tokens prefix(static_cast<std::size_t>(t));
        for (std::int64_t i = t - 1, rest = code; i >= 0; --i, rest /= V)
          prefix[static_cast<std::size_t>(i)] = rest % V;
        use(prefix);
      }
    }
  }

  std::int64_t vocab_size() const override { return V; }
  at::Tensor features(const at::Tensor& hidden) const override { return hidden; }
  void log_psi(const at::Tensor& features, std::int64_t v_begin, std::int64_t v_end,
               at::Tensor& out) const override {
    for (std::int64_t r = 0; r < features.size(0); ++r)
      for (std::int64_t v = v_begin; v < v_end; ++v)
        out.mutable_data_ptr<double>()[r * out.stride(0) + v - v_begin] =
            log_psi_of(parameters_[0].value[place(prefix_of(features, r, v))]);
  }
  std::string form() const override { return "prefixes"; }
  std::vector<twist::Parameter>& parameters() override { return parameters_; }
  const std::vector<twist::Parameter>& parameters() const override { return parameters_; }
  void gradient(const twist::GradientTerms& terms, const twist::GradientSink& sink) const override {
    std::vector<double> sums(parameters_[0].value.size());
    for (std::size_t i = 0; i < terms.tokens.size(); ++i)
      sums[place(prefix_of(terms.hidden, static_cast<std::int64_t>(i), terms.tokens[i]))] +=
          terms.on_score[i];
    const at::Tensor rows = terms.on_row ? terms.on_row(0, V) : at::Tensor{};
    for (std::int64_t i = 0; rows.defined() && i < rows.size(0); ++i)
      for (std::int64_t v = 0; v < V; ++v)
        sums[place(prefix_of(terms.hidden, i, v))] += rows.const_data_ptr<double>()[i * V + v];
    for (std::size_t i = 0; i < sums.size(); ++i) seen[i] += sums[i];
    sink({0, {}, device::cpu_engine()->upload(std::vector<float>(sums.begin(), sums.end()))});
    sink(value_gradient(terms));
  }
  std::vector<double> values(const at::Tensor& hidden) const override {
    std::vector<double> out;
    for (std::int64_t row = 0; row < hidden.size(0); ++row)
      out.push_back(static_cast<double>(parameters_[1].value[place(prefix_of(hidden, row))]));
    return out;
  }
  void refresh() override {}
  twist::Link link() const override { return link_; }

  /// All gradients so far, added up.
  mutable std::map<std::size_t, double> seen;

 private:
  [[nodiscard]] Tokens prefix_of(const at::Tensor& hidden, std::int64_t row) const {
    Tokens prefix = lm_.prefix_of(hidden.const_data_ptr<double>()[row * hidden.stride(0)]);
    prefix.erase(prefix.begin());  // the prompt
    return prefix;
  }
  [[nodiscard]] Tokens prefix_of(const at::Tensor& hidden, std::int64_t row, std::int64_t token) const {
    Tokens prefix = prefix_of(hidden, row);
    prefix.push_back(token);
    return prefix;
  }
  [[nodiscard]] twist::GradientBlock value_gradient(const twist::GradientTerms& terms) const {
    std::vector<float> values(parameters_[1].value.size());
    for (std::size_t i = 0; i < terms.on_value.size(); ++i)
      values[place(prefix_of(terms.hidden, static_cast<std::int64_t>(i)))] +=
          static_cast<float>(terms.on_value[i]);
    return {1, {}, device::cpu_engine()->upload(values)};
  }

  [[nodiscard]] double log_psi_of(double score) const {
    return link_ == twist::Link::identity ? score : log_sigmoid(score);
  }

  const model::TabularModel& lm_;
  twist::Link link_;
  std::vector<twist::Parameter> parameters_;
};

/// A target with a prompt of one token, whose texts may end early.
struct Target {
  explicit Target(bool can_end) {
    if (can_end) lm = std::make_unique<model::AbsorbingModel>(base, end_token, 1);
  }
  [[nodiscard]] const model::LanguageModel& model() const {
    return lm != nullptr ? *lm : static_cast<const model::LanguageModel&>(*base);
  }
  [[nodiscard]] smc::Problem problem() const { return {model(), prompt, potential}; }

  std::shared_ptr<const model::TabularModel> base =
      std::make_shared<model::TabularModel>(model::TabularModel::random(V, 1 + T, 11, 0.7));
  std::unique_ptr<model::AbsorbingModel> lm;
  Tokens prompt{2};
  RoughPotential potential{2.0};
};

/// One sequence as enumeration sees it.
struct Path {
  Tokens tokens;
  std::vector<double> log_p0, log_q, log_psi;  // (T)
  double log_sigma = 0;                        // not normalised
};

inline double sum(const std::vector<double>& x, std::int64_t n = T) {
  return std::accumulate(x.begin(), x.begin() + n, 0.0);
}

/// All sequences of p0 > 0.
inline std::vector<Path> all_paths(const Target& target, const twist::Twist& twist) {
  std::vector<Path> out;
  PrefixTwist::for_each_prefix([&](const Tokens& s) {
    if (static_cast<std::int64_t>(s.size()) < T) return;
    const smc::Proposal q(target.model(), twist, smc::ProposalKind::twisted);
    const smc::ForcedPass pass = smc::forced_pass(target.problem(), q, T, s);
    Path path{s, pass.log_p0, pass.log_q, pass.log_psi, 0};
    path.log_sigma = sum(path.log_p0) + target.potential.log_phi({target.prompt, s, T})[0];
    if (sum(path.log_p0) > log_zero) out.push_back(std::move(path));
  });
  return out;
}

/// Where step t of a sequence is learned: what comes after the end of a text is the end's.
inline std::size_t place_of(const Target& target, const Tokens& s, std::int64_t t) {
  std::int64_t n = t + 1;
  while (n > 1 && target.lm != nullptr && s[static_cast<std::size_t>(n - 2)] == end_token) --n;
  return PrefixTwist::place(Tokens(s.begin(), s.begin() + n));
}

/// KL(sigma || q) by enumeration.
inline double kl_sigma_q(const Target& target, const twist::Twist& twist) {
  std::vector<double> log_sigma;
  const std::vector<Path> paths = all_paths(target, twist);
  for (const Path& p : paths) log_sigma.push_back(p.log_sigma);
  const double log_z = log_sum_exp(log_sigma);
  double kl = 0;
  for (const Path& p : paths) kl += std::exp(p.log_sigma - log_z) * (p.log_sigma - log_z - sum(p.log_q));
  return kl;
}

inline double rough_log_psi(const Tokens& prefix) {
  return 1.2 * rough(prefix, 9);
}

}  // namespace twistor::test::prefixes
