// SPDX-License-Identifier: Apache-2.0
// What a set of exact samples says of itself. Private to the exact room.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "twistor/exact/sample_set.hpp"
#include "twistor/store/exact_samples.hpp"

namespace twistor::exact {

/// Samples under way, with what ties them to their problem filled in. `how`: as ExactSamples.
inline store::ExactSamples empty_set(const Target& target, std::string how) {
  store::ExactSamples out;
  out.prompt.assign(target.prompt.begin(), target.prompt.end());
  out.length = target.length;
  out.tokens.shape = {0, out.length};
  out.how = std::move(how);
  out.model_fingerprint = target.lm.fingerprint();
  out.potential = target.identity;
  return out;
}

inline bool is_same_target(const store::ExactSamples& a, const store::ExactSamples& b) {
  return a.prompt == b.prompt && a.length == b.length && a.potential == b.potential &&
         a.model_fingerprint == b.model_fingerprint;
}

/// The seed that follows `before` in ExactSamples::how, where that is all of it.
inline std::optional<std::uint64_t> seed_after(std::string_view before, const store::ExactSamples& samples) {
  const std::string_view how = samples.how;
  if (!how.starts_with(before)) return std::nullopt;
  std::uint64_t seed = 0;
  const char* const end = how.data() + how.size();
  const auto [last, failure] = std::from_chars(how.data() + before.size(), end, seed);
  return failure == std::errc{} && last == end ? std::optional(seed) : std::nullopt;
}

}  // namespace twistor::exact
