// SPDX-License-Identifier: Apache-2.0
// Resampling schemes: who is whose ancestor, in plain and in conditional form, from the weights of the whole
// population.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "twistor/base/names.hpp"

namespace twistor::smc {

/// All draw K offspring of K particles with E[offspring of i] = K W_i; W are the normalised weights.
enum class SchemeKind {
  multinomial,  ///< K independent draws
  stratified,   ///< one draw in each of K equal strata
  systematic,   ///< the same offset in each of K equal strata
  residual,     ///< floor(K W_i) copies of each, the remaining slots multinomial in what is left
};

constexpr auto names_of(SchemeKind) {
  return std::array{Named{SchemeKind::multinomial, "multinomial"},
                    Named{SchemeKind::stratified, "stratified"}, Named{SchemeKind::systematic, "systematic"},
                    Named{SchemeKind::residual, "residual"}};
}

/// How every function below treats weights. *Local*, pure: the same K weights in global order give the same
/// result, also on mixed processors (the exponential here uses sums and products alone, no libm).
///
/// Weight i becomes the integer round(exp(log_w_i - max log_w) 2^s), but at least 1 unless log_w_i = -inf,
/// with s = 53 for K <= 512 and 62 - ceil(log2 K) above. From there on all is exact: the line of K strata has
/// whole points, K 2^62 at most. So probabilities are those of the weights within 2^-s of the largest, K W_i
/// at whole numbers is met exactly, a weight of zero never has offspring, and a constant added to all log
/// weights changes nothing but the rounding of its addition.
///
/// `seed` and `step` key the random numbers, together with the slot: slot m of stratified, multinomial and
/// residual resampling uses Philox(seed, resampling, step, m); the offset of systematic resampling uses slot
/// 0. Needs 1 <= K < 2^31 - 1 and at least one weight above zero. Throws Error(internal) on NaN and +inf.

/// ancestors[m] is the ancestor of slot m, // (K) int64
[[nodiscard]] std::vector<std::int64_t> ancestors(SchemeKind kind, std::span<const double> log_w,
                                                  std::uint64_t seed, std::uint32_t step);

struct ConditionalAncestors {
  std::vector<std::int64_t> ancestors;  ///< (K), with ancestors[pinned_slot] = the pinned particle
  std::int64_t pinned_slot;             ///< where the pinned path goes
};

/// The scheme's law given that the pinned particle j = `pinned` has an offspring that carries the pinned path
/// on: its slot is m with probability P(a_m = j) / (K W_j), the other slots follow the plain law given a_m =
/// j. The density of the result is that of the plain scheme times 1[a_m = j] / (K W_j), which is what makes Z
/// E[1/Z_hat] = 1 (docs/method.md). The pinned slot is drawn from Philox(seed, conditional_slot, step, 0).
/// `pinned` needs a weight above zero.
[[nodiscard]] ConditionalAncestors conditional_ancestors(SchemeKind kind, std::span<const double> log_w,
                                                         std::int64_t pinned, std::uint64_t seed,
                                                         std::uint32_t step);

/// The slot where the pinned path starts: uniform on 0..K-1.
[[nodiscard]] std::int64_t initial_pinned_slot(std::int64_t K, std::uint64_t seed) noexcept;

/// log(W_i / used_i), the weight that particle i's offspring begin with, so that estimates stay unbiased to
/// the last bit. weight / total is the probability used; log_w: of particle i before the resampling; log_sum:
/// lse over all of them.
[[nodiscard]] double log_correction(std::uint64_t weight, std::uint64_t total, double log_w, double log_sum);

struct Resampled {
  std::vector<std::int64_t>
      ancestor_of_id;           ///< (K); ancestor_of_id[i] == i for every particle with offspring
  std::int64_t pinned_id = -1;  ///< id of the pinned path; -1 in the plain form
  /// (K) what the particles were drawn with: weights[i] / total is the probability used for particle i, which
  /// rounding moves away from W_i, most of all for tiny weights, since none above zero becomes zero. Empty:
  /// the W_i themselves.
  std::vector<std::uint64_t> weights{};
  std::uint64_t total = 0;

  /// That of particle i; 0 if `weights` is empty.
  [[nodiscard]] double log_correction(std::int64_t i, double log_w, double log_sum) const;
};

/// Renames slots so that survivors stay what they are: a parent's first offspring (lowest slot) keeps the
/// parent's id, the others take the ids of the childless, lowest first, in increasing order of (parent,
/// slot). A bijection that depends on the ancestors alone, so it changes neither law as long as both forms
/// use it. `pinned_slot` -1: none.
[[nodiscard]] Resampled relabel(std::span<const std::int64_t> ancestors, std::int64_t pinned_slot = -1);

/// relabel(ancestors(...)): what a plain sweep uses.
[[nodiscard]] Resampled resample(SchemeKind kind, std::span<const double> log_w, std::uint64_t seed,
                                 std::uint32_t step);

/// relabel(conditional_ancestors(...)): what a sweep with a pinned path uses.
[[nodiscard]] Resampled conditional_resample(SchemeKind kind, std::span<const double> log_w,
                                             std::int64_t pinned, std::uint64_t seed, std::uint32_t step);

}  // namespace twistor::smc
