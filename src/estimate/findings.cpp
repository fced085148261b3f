// Findings as numbers: how many repeats, numbers of each, samples of q, exact samples, and then these.
#include "twistor/estimate/findings.hpp"

#include "twistor/base/error.hpp"

namespace twistor::estimate {

std::vector<double> to_numbers(const Findings& found) {
  const std::size_t n_steps = found.repeats.empty() ? 0 : found.repeats.front().ess.size();
  std::vector<double> out{static_cast<double>(found.repeats.size()), static_cast<double>(n_steps),
                          static_cast<double>(found.q.size()), static_cast<double>(found.g.size())};
  for (const BoundRun& r : found.repeats) {
    out.insert(out.end(), {r.sis_lower, r.sis_upper, r.smc_lower, r.smc_upper, r.variance, r.final_ess});
    out.insert(out.end(), r.ess.begin(), r.ess.end());
  }
  for (const ProposalSample& s : found.q) out.insert(out.end(), {s.ratio, s.log_phi, s.kl_q_p0});
  out.insert(out.end(), found.g.begin(), found.g.end());
  return out;
}

Findings findings_from_numbers(std::span<const double> x) {
  Findings out;
  if (x.empty()) return out;
  const auto size = [&](std::size_t i) { return i < x.size() ? static_cast<std::size_t>(x[i]) : 0; };
  const std::size_t n_repeats = size(0), n_steps = size(1), n_q = size(2), n_g = size(3);
  TWISTOR_CHECK(x.size() == 4 + n_repeats * (6 + n_steps) + 3 * n_q + n_g, ErrorKind::data,
                "resuming an evaluation", "what was kept of it has another size",
                "remove evaluation.partial.h5");
  auto at = x.begin() + 4;
  for (std::size_t i = 0; i < n_repeats; ++i) {
    const auto end = at + 6 + static_cast<std::ptrdiff_t>(n_steps);
    out.repeats.push_back({at[0], at[1], at[2], at[3], at[4], at[5], {at + 6, end}});
    at = end;
  }
  for (std::size_t i = 0; i < n_q; ++i, at += 3) out.q.push_back({at[0], at[1], at[2]});
  out.g.assign(at, x.end());
  return out;
}

}  // namespace twistor::estimate
