// SPDX-License-Identifier: Apache-2.0
// Pairs, and the file that names their seed.
#include "twistor/exact/pair_set.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "set_facts.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::exact {
namespace {

constexpr std::string_view pairs_with_seed = "pairs with seed ";

/// What the file says of its pairs, if it has some of this target.
struct FoundPairs {
  std::uint64_t seed = 0;
  std::int64_t n = 0;
};

/// *Local.*
FoundPairs look_at_pairs(const Target& target, const SetOptions& options) {
  if (!options.is_shared || !std::filesystem::exists(options.file)) return {options.seed, 0};
  const store::ExactSamples s = store::load_exact_samples(options.file);
  const std::optional<std::uint64_t> seed = seed_after(pairs_with_seed, s);
  const bool is_ours = is_same_target(s, empty_set(target, s.how));
  TWISTOR_CHECK(seed && is_ours, ErrorKind::config,
                "reading pairs of exact samples and observations from " + options.file.string(),
                seed ? "they belong to another model, prompt or target"
                     : fmt::format("they are samples of one target ({})", s.how),
                "choose another exact.path, or remove the file");
  return {*seed, s.n()};
}

}  // namespace

store::ExactSamples find_pairs(const Target& target, const JointSampler& sampler, const SetOptions& options,
                               const comm::Communicator& world) {
  TWISTOR_CHECK(
      options.way == Way::joint, ErrorKind::config, "drawing exact samples",
      fmt::format("twist.condition draws them together with their observations, and exact.source is {}",
                  name_of(options.way)),
      "set exact.source = auto");
  FoundPairs found;
  if (world.rank() == 0) found = look_at_pairs(target, options);
  found = comm::broadcast_value(found, world);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(options.count));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  JointDraws pairs = sampler.draw(indices, found.seed);
  store::ExactSamples out = empty_set(target, fmt::format("{}{}", pairs_with_seed, found.seed));
  out.tokens = {{options.count, target.length}, std::move(pairs.sequences.tokens)};
  out.log_p0 = std::move(pairs.sequences.log_p0);
  out.log_phi = std::move(pairs.observations.log_p0);
  const auto c = static_cast<std::int64_t>(pairs.observations.tokens.size()) / options.count;
  out.observations = {{options.count, c}, std::move(pairs.observations.tokens)};
  out.n_draws = options.count;
  if (world.rank() == 0 && found.n < options.count) store::write_exact_samples(options.file, out);
  return out;
}

}  // namespace twistor::exact
