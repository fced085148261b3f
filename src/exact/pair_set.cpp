// SPDX-License-Identifier: Apache-2.0
// Pairs, and the file that names their seed.
#include "twistor/exact/pair_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <numeric>
#include <string>
#include <utility>

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
  std::uint64_t seed = 0;
  const char* const end = s.how.data() + s.how.size();
  const bool is_pairs = s.how.starts_with(pairs_with_seed) &&
                        std::from_chars(s.how.data() + pairs_with_seed.size(), end, seed).ptr == end;
  const bool is_ours = s.length == target.length && s.potential == target.identity &&
                       s.model_fingerprint == target.lm.fingerprint() &&
                       std::ranges::equal(s.prompt, target.prompt);
  TWISTOR_CHECK(is_pairs && is_ours, ErrorKind::config,
                "reading pairs of exact samples and observations from " + options.file.string(),
                is_pairs ? "they belong to another model, prompt or target"
                         : fmt::format("they are samples of one target ({})", s.how),
                "choose another exact.path, or remove the file");
  return {seed, s.n()};
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
  comm::broadcast(std::span(&found, 1), 0, world);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(options.count));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  JointDraws pairs = sampler.draw(indices, found.seed);
  store::ExactSamples out;
  out.prompt.assign(target.prompt.begin(), target.prompt.end());
  out.length = target.length;
  out.tokens = {{options.count, target.length}, std::move(pairs.sequences.tokens)};
  out.log_p0 = std::move(pairs.sequences.log_p0);
  out.log_phi = std::move(pairs.observations.log_p0);
  const auto c = static_cast<std::int64_t>(pairs.observations.tokens.size()) / options.count;
  out.observations = {{options.count, c}, std::move(pairs.observations.tokens)};
  out.how = fmt::format("{}{}", pairs_with_seed, found.seed);
  out.n_draws = options.count;
  out.model_fingerprint = target.lm.fingerprint();
  out.potential = target.identity;
  if (world.rank() == 0 && found.n < options.count) store::write_exact_samples(options.file, out);
  return out;
}

}  // namespace twistor::exact
