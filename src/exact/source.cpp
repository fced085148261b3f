// SPDX-License-Identifier: Apache-2.0
// Dividing a set of exact samples.
#include "twistor/exact/source.hpp"

#include <fmt/format.h>

#include <span>

#include "twistor/base/digest.hpp"
#include "twistor/base/error.hpp"

namespace twistor::exact {

Split split(const store::ExactSamples& samples, bool is_learned_from) {
  const auto every = [&samples](std::int64_t step, std::int64_t first) {
    return Source{(samples.n() + step - 1 - first) / step, [&samples, step, first](std::int64_t i) {
                    const auto at = samples.tokens.values.begin() + (first + step * i) * samples.length;
                    return std::vector<std::int64_t>(at, at + samples.length);
                  }};
  };
  if (!is_learned_from) return {every(1, 0), {}};
  TWISTOR_CHECK(
      samples.n() != 1, ErrorKind::config, "dividing the exact samples between learning and evaluation",
      "there is one, and both need their own", "set train.positives = weighted, or make more exact samples");
  // Every second sample: the division does not depend on how many there are, nor on who learns from them.
  return {every(2, 0), every(2, 1)};
}

std::string digest(const store::ExactSamples& samples) {
  Sha256 sha;
  sha.add(fmt::format("{} of {} tokens\n", samples.n(), samples.length));
  sha.add(std::as_bytes(std::span(samples.tokens.values)));
  return sha.finish_hex();
}

std::string digest(const Source& source, std::int64_t n) {
  Sha256 sha;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::vector<std::int64_t> tokens = source.sample(i);
    if (i == 0) sha.add(fmt::format("{} of {} tokens\n", n, tokens.size()));
    sha.add(std::as_bytes(std::span(tokens)));
  }
  return sha.finish_hex();
}

}  // namespace twistor::exact
