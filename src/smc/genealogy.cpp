// SPDX-License-Identifier: Apache-2.0
// Founders, survivors and the variance of log Z_hat from a single sweep.
#include "twistor/smc/genealogy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "at.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/log_space.hpp"

namespace twistor::smc {
namespace {

// How many of 0..K-1 occur in `ids`.
std::int64_t count_distinct(std::span<const std::int32_t> ids, std::int64_t K) {
  std::vector<char> is_there(at(K), 0);
  for (const std::int32_t i : ids) is_there[at(i)] = 1;
  return std::count(is_there.begin(), is_there.end(), 1);
}

// log(K / (K - 1)): one in K pairs of independent draws meets.
double log_multinomial_factor(std::int64_t K) noexcept {
  return -std::log1p(-1.0 / static_cast<double>(K));
}

// log of the share of pairs that are two different particles, before over after a resampling.
double log_pair_factor(std::span<const std::int32_t> n_offspring, double ess) {
  const auto K = static_cast<double>(n_offspring.size());
  double same = 0;
  for (const std::int32_t n : n_offspring) same += static_cast<double>(n) / K * (static_cast<double>(n) / K);
  // With a single survivor no pair is left, and what multiplies the factor is 0.
  return same < 1 && ess > 1 ? std::log1p(-1 / ess) - std::log1p(-same) : 0.0;
}

}  // namespace

Genealogy::Genealogy(std::int64_t K) : eves_(at(K)), scratch_(at(K)), log_factor_(log_multinomial_factor(K)) {
  TWISTOR_ASSERT(K >= 1 && K < std::numeric_limits<std::int32_t>::max(),
                 "a genealogy needs 1 <= K < 2^31 - 1");
  std::iota(eves_.begin(), eves_.end(), 0);
}

void Genealogy::resampled(SchemeKind kind, std::span<const std::int64_t> ancestor_of_id, double ess) {
  TWISTOR_ASSERT(ancestor_of_id.size() == eves_.size(), "one ancestor per particle");
  const auto K = static_cast<std::int64_t>(eves_.size());
  std::ranges::fill(scratch_, 0);
  for (const std::int64_t a : ancestor_of_id) {
    TWISTOR_ASSERT(a >= 0 && a < K, "an ancestor lies outside the population");
    ++scratch_[at(a)];
  }
  n_survivors_.push_back(K - std::ranges::count(scratch_, 0));
  log_factor_ += kind == SchemeKind::multinomial ? log_multinomial_factor(K) : log_pair_factor(scratch_, ess);
  for (std::size_t i = 0; i < eves_.size(); ++i) scratch_[i] = eves_[at(ancestor_of_id[i])];
  eves_.swap(scratch_);
}

std::int64_t Genealogy::n_founders() const {
  return count_distinct(eves_, static_cast<std::int64_t>(eves_.size()));
}

std::vector<std::int64_t> unique_ancestors(std::int64_t K,
                                           std::span<const std::vector<std::int64_t>> history) {
  std::vector<std::int64_t> counts(history.size() + 1, K);
  std::vector<std::int64_t> living(at(K));
  std::iota(living.begin(), living.end(), 0);
  for (std::size_t t = history.size(); t-- > 0;) {
    TWISTOR_ASSERT(history[t].size() == at(K), "one ancestor per particle");
    for (std::int64_t& i : living) {
      i = history[t][at(i)];
      TWISTOR_ASSERT(i >= 0 && i < K, "an ancestor lies outside the population");
    }
    std::vector<char> is_there(at(K), 0);
    for (const std::int64_t i : living) is_there[at(i)] = 1;
    living.clear();
    for (std::int64_t i = 0; i < K; ++i)
      if (is_there[at(i)] != 0) living.push_back(i);
    counts[t] = static_cast<std::int64_t>(living.size());
  }
  return counts;
}

double Genealogy::log_z_variance(std::span<const double> log_w) const {
  TWISTOR_ASSERT(eves_.size() == log_w.size(), "one weight per particle");
  if (eves_.size() == 1 || log_sum_exp(log_w) == log_zero) return std::numeric_limits<double>::quiet_NaN();
  const double top = *std::ranges::max_element(log_w);
  std::vector<double> shares(eves_.size(), 0.0);
  for (std::size_t i = 0; i < log_w.size(); ++i) shares[at(eves_[i])] += std::exp(log_w[i] - top);
  double sum = 0, squares = 0;
  for (const double s : shares) {
    sum += s;
    squares += s * s;
  }
  return 1 - std::exp(log_factor_) * (1 - squares / (sum * sum));
}

}  // namespace twistor::smc
