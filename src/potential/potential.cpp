// SPDX-License-Identifier: Apache-2.0
// What potentials that look at observations do unless they know better.
#include "twistor/potential/potential.hpp"

#include <algorithm>

#include "twistor/base/error.hpp"

namespace twistor::potential {

/// Neighbours with the same observation go together.
std::vector<double> Potential::log_phi_given(const Sequences& sequences,
                                             std::span<const std::int64_t> observations) const {
  const auto n = static_cast<std::size_t>(sequences.size()), T = static_cast<std::size_t>(sequences.length);
  std::vector<double> out;
  if (n == 0) return out;
  const std::size_t c = observations.size() / n;
  const auto of = [&](std::size_t i) { return observations.subspan(i * c, c); };
  for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
    for (end = begin + 1; end < n && std::ranges::equal(of(begin), of(end));) ++end;
    const auto one = given(of(begin));
    TWISTOR_ASSERT(one != nullptr, "a conditional target's potential looks at observations");
    const std::vector<double> values = one->log_phi(
        {sequences.prompt, sequences.tokens.subspan(begin * T, (end - begin) * T), sequences.length});
    out.insert(out.end(), values.begin(), values.end());
  }
  return out;
}

}  // namespace twistor::potential
