// SPDX-License-Identifier: Apache-2.0
// Resampling in integers: a line of K strata with S points each, on which particle i covers K w_i points.
#include "twistor/smc/scheme.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "at.hpp"
#include "integer_weights.hpp"
#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/base/wide_int.hpp"

namespace twistor::smc {
namespace {

constexpr std::int64_t max_particles =
    std::numeric_limits<std::int32_t>::max();  // tables of counts are 32 bits wide

std::uint64_t scaled(std::uint64_t word, std::uint64_t n) noexcept {  // as Philox::below
  return static_cast<std::uint64_t>((static_cast<UInt128>(word) * n) >> 64);
}

// All that a draw depends on.
struct Draw {
  std::int64_t K;
  std::vector<std::uint64_t> w;  // (K) integer weights, at most 2^53 each
  std::uint64_t S = 0;           // their sum, at most 2^62: the points of one stratum
  std::uint64_t seed;
  std::uint32_t step;

  Draw(std::span<const double> log_w, std::uint64_t seed_, std::uint32_t step_)
      : K(static_cast<std::int64_t>(log_w.size())), w(log_w.size()), seed(seed_), step(step_) {
    TWISTOR_ASSERT(K >= 1 && K < max_particles, "resampling needs 1 <= K < 2^31 - 1");
    S = integer_weights(log_w, w);
  }

  [[nodiscard]] Philox pin_random() const noexcept { return {seed, Stream::conditional_slot, step, 0}; }

  // Calls f(m, word, second word) with the random numbers of the slots first..K-1.
  template <class F>
  void for_slots(std::int64_t first, F f) const {
    std::array<std::uint64_t, 128> one{}, two{};
    for (std::int64_t m = first; m < K;) {
      const std::size_t n = std::min(one.size(), at(K - m));
      philox_pairs(seed, Stream::resampling, step, at(m), std::span(one).first(n), std::span(two).first(n));
      for (std::size_t i = 0; i < n; ++i, ++m) f(m, one[i], two[i]);
    }
  }
};

// A point of the line, as its stratum and the place within.
struct Point {
  std::int64_t stratum;
  std::uint64_t offset;
};

// The point K x, for 0 <= x <= S. The quotient is estimated in floating point, is off by one at most, and the
// remainder tells: it lies in [-S, 2 S) and so survives arithmetic modulo 2^64.
Point point_at(const Draw& d, std::uint64_t x, double K_over_S) noexcept {
  auto stratum = static_cast<std::int64_t>(static_cast<double>(static_cast<std::int64_t>(x)) * K_over_S);
  auto rest = static_cast<std::int64_t>(at(d.K) * x - at(stratum) * d.S);
  const auto S = static_cast<std::int64_t>(d.S);
  const std::int64_t below = rest < 0 ? 1 : 0, above = rest >= S ? 1 : 0;
  stratum += above - below;
  rest += (below - above) * S;
  return {stratum, static_cast<std::uint64_t>(rest)};
}

double K_over_S(const Draw& d) noexcept {
  return static_cast<double>(d.K) / static_cast<double>(d.S);
}

// Uniform on the K w_j points of particle j, counted from their first.
UInt128 uniform_point_of(const Draw& d, std::int64_t j, Philox& random) noexcept {
  const UInt128 k = random.below(at(d.K));
  return k * d.w[at(j)] + random.below(d.w[at(j)]);
}

// The same, as a point of the whole line.
Point pinned_point(const Draw& d, std::int64_t j) noexcept {
  UInt128 before = 0;
  for (std::int64_t i = 0; i < j; ++i) before += d.w[at(i)];
  Philox random = d.pin_random();
  const UInt128 x = before * at(d.K) + uniform_point_of(d, j, random);
  return {static_cast<std::int64_t>(x / d.S), static_cast<std::uint64_t>(x % d.S)};
}

// Turns run ends into a table: result[m] = i for end(i - 1) <= m < end(i), ends in increasing order, called
// once each. Without a branch on the length of a run, which no processor can predict: every run leaves its
// number at its begin, the runs of length zero are overwritten, and a running maximum fills the rest.
template <class Int, class End>
std::vector<Int> table_of_runs(std::int64_t n_runs, std::int64_t n, End end) {
  std::vector<Int> result(at(n) + 1, 0);
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < n_runs; ++i) {
    result[at(begin)] = static_cast<Int>(i);
    begin = end(i);
  }
  result.resize(at(n));
  Int run = 0;
  for (Int& r : result) r = run = std::max(run, r);
  return result;
}

// Ancestors of slots that look at one point each, slot m in stratum m. offset(K) is asked for but does not
// count.
template <class Offset>
std::vector<std::int64_t> one_per_stratum(const Draw& d, Offset offset) {
  const double ratio = K_over_S(d);
  std::uint64_t sum = 0;
  return table_of_runs<std::int64_t>(d.K, d.K, [&](std::int64_t i) {
    const Point end = point_at(d, sum += d.w[at(i)], ratio);
    return end.stratum + (offset(end.stratum) < end.offset ? 1 : 0);
  });
}

// Finds who covers a point, for points in any order: O(1) on average over a uniform point.
class Finder {
 public:
  // Particle i ends before the point ends[i]; n strata in all.
  Finder(std::vector<Point> ends, std::int64_t n)
      : ends_(std::move(ends)),
        first_(table_of_runs<std::int32_t>(static_cast<std::int64_t>(ends_.size()), n, [&](std::int64_t i) {
          return ends_[at(i)].stratum + (ends_[at(i)].offset > 0 ? 1 : 0);
        })) {}

  [[nodiscard]] std::int64_t find(std::int64_t stratum, std::uint64_t offset) const noexcept {
    std::int64_t i = first_[at(stratum)];
    // Most searches end within two steps; taking these without a branch spares the processor its wrong
    // guesses.
    i += is_past(i, stratum, offset);
    i += is_past(i, stratum, offset);
    while (is_past(i, stratum, offset) != 0) ++i;
    return i;
  }

 private:
  // 1 if the point lies after particle i, 0 if not, which stays so for all that follow: the last one ends
  // all strata.
  [[nodiscard]] std::int64_t is_past(std::int64_t i, std::int64_t stratum,
                                     std::uint64_t offset) const noexcept {
    const Point& end = ends_[at(i)];
    return static_cast<std::int64_t>(end.stratum == stratum) &
           static_cast<std::int64_t>(end.offset <= offset);
  }

  std::vector<Point> ends_;
  std::vector<std::int32_t> first_;  // who covers the first point of each stratum
};

// The four schemes. `pinned` is -1 in the plain form.

ConditionalAncestors multinomial(const Draw& d, std::int64_t pinned) {
  const double ratio = K_over_S(d);
  std::vector<Point> ends(at(d.K));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) ends[i] = point_at(d, sum += d.w[i], ratio);
  const Finder finder(std::move(ends), d.K);
  ConditionalAncestors result{std::vector<std::int64_t>(at(d.K)), -1};
  d.for_slots(0, [&](std::int64_t m, std::uint64_t one, std::uint64_t two) {
    result.ancestors[at(m)] = finder.find(static_cast<std::int64_t>(scaled(one, at(d.K))), scaled(two, d.S));
  });
  if (pinned >= 0) {
    result.pinned_slot = static_cast<std::int64_t>(d.pin_random().below(at(d.K)));
    result.ancestors[at(result.pinned_slot)] = pinned;
  }
  return result;
}

ConditionalAncestors stratified(const Draw& d, std::int64_t pinned) {
  std::vector<std::uint64_t> offsets(at(d.K) + 1, 0);
  d.for_slots(0,
              [&](std::int64_t m, std::uint64_t one, std::uint64_t) { offsets[at(m)] = scaled(one, d.S); });
  std::int64_t pinned_slot = -1;
  if (pinned >= 0) {
    const Point pin = pinned_point(d, pinned);
    pinned_slot = pin.stratum;
    offsets[at(pinned_slot)] = pin.offset;
  }
  return {one_per_stratum(d, [&](std::int64_t m) { return offsets[at(m)]; }), pinned_slot};
}

ConditionalAncestors systematic(const Draw& d, std::int64_t pinned) {
  const Point pin = pinned >= 0 ? pinned_point(d, pinned)
                                : Point{-1, Philox(d.seed, Stream::resampling, d.step, 0).below(d.S)};
  return {one_per_stratum(d, [&](std::int64_t) { return pin.offset; }), pin.stratum};
}

// Slots 0..K-R-1 hold the whole copies in order of the particles, the last R slots the multinomial remainder.
ConditionalAncestors residual(const Draw& d, std::int64_t pinned) {
  const double ratio = K_over_S(d);
  std::vector<std::int64_t> whole_ends(at(d.K));  // floor(K w_i / S) whole copies each, added up
  std::vector<Point> rest_ends(at(d.K));          // what is left over, added up
  std::int64_t n_whole = 0;
  Point rest{0, 0};
  for (std::size_t i = 0; i < rest_ends.size(); ++i) {
    const Point share = point_at(d, d.w[i], ratio);
    whole_ends[i] = n_whole += share.stratum;
    rest.offset += share.offset;
    const bool is_full = rest.offset >= d.S;
    rest = {rest.stratum + (is_full ? 1 : 0), rest.offset - (is_full ? d.S : 0)};
    rest_ends[i] = rest;
  }
  const std::int64_t n_rest = d.K - n_whole;
  ConditionalAncestors result{
      table_of_runs<std::int64_t>(d.K, n_whole, [&](std::int64_t i) { return whole_ends[at(i)]; }), -1};
  result.ancestors.resize(at(d.K));
  if (n_rest > 0) {
    const Finder finder(std::move(rest_ends), n_rest);
    d.for_slots(n_whole, [&](std::int64_t m, std::uint64_t one, std::uint64_t two) {
      result.ancestors[at(m)] =
          finder.find(static_cast<std::int64_t>(scaled(one, at(n_rest))), scaled(two, d.S));
    });
  }
  if (pinned >= 0) {
    Philox random = d.pin_random();
    const std::int64_t first_copy = pinned == 0 ? 0 : whole_ends[at(pinned - 1)];
    const auto slot = first_copy + static_cast<std::int64_t>(uniform_point_of(d, pinned, random) / d.S);
    const bool is_whole = slot < whole_ends[at(pinned)];
    result.pinned_slot = is_whole ? slot : n_whole + static_cast<std::int64_t>(random.below(at(n_rest)));
    result.ancestors[at(result.pinned_slot)] = pinned;
  }
  return result;
}

ConditionalAncestors draw(SchemeKind kind, const Draw& d, std::int64_t pinned) {
  switch (kind) {
    case SchemeKind::multinomial:
      return multinomial(d, pinned);
    case SchemeKind::stratified:
      return stratified(d, pinned);
    case SchemeKind::systematic:
      return systematic(d, pinned);
    case SchemeKind::residual:
      return residual(d, pinned);
  }
  TWISTOR_ASSERT(false, "unknown resampling scheme");
  return {};
}

ConditionalAncestors conditional(SchemeKind kind, const Draw& d, std::int64_t pinned) {
  TWISTOR_ASSERT(pinned >= 0 && pinned < d.K, "the pinned id lies outside the population");
  TWISTOR_ASSERT(d.w[at(pinned)] > 0, "the pinned particle has weight zero");
  return draw(kind, d, pinned);
}

}  // namespace

std::vector<std::int64_t> ancestors(SchemeKind kind, std::span<const double> log_w, std::uint64_t seed,
                                    std::uint32_t step) {
  return draw(kind, Draw(log_w, seed, step), -1).ancestors;
}

ConditionalAncestors conditional_ancestors(SchemeKind kind, std::span<const double> log_w,
                                           std::int64_t pinned, std::uint64_t seed, std::uint32_t step) {
  return conditional(kind, Draw(log_w, seed, step), pinned);
}

std::int64_t initial_pinned_slot(std::int64_t K, std::uint64_t seed) noexcept {
  // Id 1, so that it never shares its bits with a resampling, whatever step that has.
  return static_cast<std::int64_t>(Philox(seed, Stream::conditional_slot, 0, 1).below(at(K)));
}

Resampled relabel(std::span<const std::int64_t> ancestors, std::int64_t pinned_slot) {
  const auto K = static_cast<std::int64_t>(ancestors.size());
  TWISTOR_ASSERT(K < max_particles, "resampling needs K < 2^31 - 1");
  std::vector<std::int32_t> n_offspring(at(K), 0);
  for (const std::int64_t a : ancestors) {
    TWISTOR_ASSERT(a >= 0 && a < K, "an ancestor lies outside the population");
    ++n_offspring[at(a)];
  }
  TWISTOR_ASSERT(pinned_slot >= -1 && pinned_slot < K, "the pinned slot lies outside the population");
  const std::int64_t pinned = pinned_slot < 0 ? -1 : ancestors[at(pinned_slot)];
  const std::int64_t elder_siblings =
      pinned < 0 ? 0 : std::count(ancestors.begin(), ancestors.begin() + pinned_slot, pinned);

  // The t-th of all further offspring takes the t-th freed id. As in table_of_runs, nothing branches on the
  // numbers.
  std::vector<std::int32_t> freed(at(K) + 1);
  std::int64_t n_freed = 0, n_before_pinned = 0;
  for (std::int64_t i = 0; i < K; ++i) {
    freed[at(n_freed)] = static_cast<std::int32_t>(i);
    n_freed += n_offspring[at(i)] == 0 ? 1 : 0;
  }
  std::int64_t n_further = 0;
  const auto parents = table_of_runs<std::int32_t>(K, n_freed, [&](std::int64_t i) {
    n_before_pinned = i == pinned ? n_further : n_before_pinned;
    return n_further += std::max(n_offspring[at(i)] - 1, 0);
  });

  Resampled result{std::vector<std::int64_t>(at(K)), pinned};
  std::iota(result.ancestor_of_id.begin(), result.ancestor_of_id.end(), 0);
  for (std::size_t t = 0; t < parents.size(); ++t) result.ancestor_of_id[at(freed[t])] = parents[t];
  if (elder_siblings > 0) result.pinned_id = freed[at(n_before_pinned + elder_siblings - 1)];
  return result;
}

double log_correction(std::uint64_t weight, std::uint64_t total, double log_w, double log_sum) {
  return log_w - log_sum - std::log(static_cast<double>(weight) / static_cast<double>(total));
}

double Resampled::log_correction(std::int64_t i, double log_w, double log_sum) const {
  return weights.empty() ? 0 : smc::log_correction(weights[at(i)], total, log_w, log_sum);
}

Resampled resample(SchemeKind kind, std::span<const double> log_w, std::uint64_t seed, std::uint32_t step) {
  Draw d(log_w, seed, step);
  Resampled result = relabel(draw(kind, d, -1).ancestors);
  result.weights = std::move(d.w);
  result.total = d.S;
  return result;
}

Resampled conditional_resample(SchemeKind kind, std::span<const double> log_w, std::int64_t pinned,
                               std::uint64_t seed, std::uint32_t step) {
  Draw d(log_w, seed, step);
  const ConditionalAncestors drawn = conditional(kind, d, pinned);
  Resampled result = relabel(drawn.ancestors, drawn.pinned_slot);
  result.weights = std::move(d.w);
  result.total = d.S;
  return result;
}

}  // namespace twistor::smc
