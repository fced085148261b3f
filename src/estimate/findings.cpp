// SPDX-License-Identifier: Apache-2.0
// Findings as numbers: how many repeats, numbers of each, samples of q, exact samples, sums, and then these.
#include "twistor/estimate/findings.hpp"

#include <algorithm>
#include <cmath>

#include "twistor/base/error.hpp"

namespace twistor::estimate {
namespace {

constexpr std::size_t n_scalars = 7;  // of a repeat, before its two numbers for each step
constexpr std::size_t n_of_sample = 4 + 2 * n_psi_steps, n_sums = 6;

}  // namespace

std::array<std::int64_t, n_psi_steps> psi_steps(std::int64_t T) {
  std::array<std::int64_t, n_psi_steps> out{};
  constexpr auto n = static_cast<std::int64_t>(n_psi_steps);
  for (std::int64_t j = 0; j < n; ++j) out[static_cast<std::size_t>(j)] = ((j + 1) * T + n - 1) / n;
  return out;
}

std::vector<double> to_numbers(const BoundRun& r) {
  TWISTOR_ASSERT(r.survivors.size() == r.ess.size(), "as many numbers of survivors as of ESS");
  std::vector<double> out{r.sis_lower, r.sis_upper, r.smc_lower, r.smc_upper,
                          r.variance,  r.final_ess, r.founders};
  out.insert(out.end(), r.ess.begin(), r.ess.end());
  out.insert(out.end(), r.survivors.begin(), r.survivors.end());
  return out;
}

BoundRun run_from_numbers(std::span<const double> x) {
  TWISTOR_ASSERT(x.size() >= n_scalars && (x.size() - n_scalars) % 2 == 0, "the numbers of one repeat");
  const std::span<const double> steps = x.subspan(n_scalars);
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  return {x[0], x[1], x[2], x[3], x[4], x[5], {steps.begin(), middle}, x[6], {middle, steps.end()}};
}

bool operator==(const BoundRun& a, const BoundRun& b) {
  return std::ranges::equal(to_numbers(a), to_numbers(b),
                            [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

std::vector<double> to_numbers(const Findings& found) {
  const std::size_t n_steps = found.repeats.empty() ? 0 : found.repeats.front().ess.size();
  std::vector<double> out{static_cast<double>(found.repeats.size()), static_cast<double>(n_steps),
                          static_cast<double>(found.q.size()), static_cast<double>(found.g.size()),
                          found.exact ? 1.0 : 0.0};
  for (const BoundRun& run : found.repeats) {
    const std::vector<double> numbers = to_numbers(run);
    out.insert(out.end(), numbers.begin(), numbers.end());
  }
  for (const ProposalSample& s : found.q) {
    out.insert(out.end(), {s.ratio, s.log_phi, s.kl_q_p0, s.log_q_error});
    out.insert(out.end(), s.log_psi.begin(), s.log_psi.end());
    out.insert(out.end(), s.log_future.begin(), s.log_future.end());
  }
  if (const auto& e = found.exact)
    out.insert(out.end(), {e->f_q, e->g_q, e->log_phi, e->kl_q_p0, e->mass, e->n_sequences});
  out.insert(out.end(), found.g.begin(), found.g.end());
  return out;
}

Findings findings_from_numbers(std::span<const double> x) {
  Findings out;
  if (x.empty()) return out;
  const auto size = [&](std::size_t i) { return i < x.size() ? static_cast<std::size_t>(x[i]) : 0; };
  const std::size_t n_repeats = size(0), stride = n_scalars + 2 * size(1), n_q = size(2), n_g = size(3),
                    n_exact = size(4);
  TWISTOR_CHECK(x.size() == 5 + n_repeats * stride + n_of_sample * n_q + n_sums * n_exact + n_g,
                ErrorKind::data, "resuming an evaluation", "what was kept of it has another size",
                "remove evaluation.partial.h5");
  std::size_t at = 5;
  for (std::size_t i = 0; i < n_repeats; ++i, at += stride)
    out.repeats.push_back(run_from_numbers(x.subspan(at, stride)));
  for (std::size_t i = 0; i < n_q; ++i, at += n_of_sample) {
    out.q.push_back({x[at], x[at + 1], x[at + 2], x[at + 3]});
    std::ranges::copy(x.subspan(at + 4, n_psi_steps), out.q.back().log_psi.begin());
    std::ranges::copy(x.subspan(at + 4 + n_psi_steps, n_psi_steps), out.q.back().log_future.begin());
  }
  if (n_exact > 0) {
    out.exact = {x[at], x[at + 1], x[at + 2], x[at + 3], x[at + 4], x[at + 5]};
    at += n_sums;
  }
  out.g.assign(x.begin() + static_cast<std::ptrdiff_t>(at), x.end());
  return out;
}

}  // namespace twistor::estimate
