// SPDX-License-Identifier: Apache-2.0
// The first rank's part.
#include "whole.hpp"

#include <numeric>
#include <utility>

#include "at.hpp"
#include "twistor/comm/sparse_exchange.hpp"

namespace twistor::smc {
namespace {

/// In how many parts the ids are cut, of which ranks host whole ones.
std::int64_t n_parts(const SweepOptions& options, int n_ranks) {
  if (options.n_shards > 0) return options.n_shards;
  return options.n_islands() > 0 ? options.n_islands() : n_ranks;
}

Layout layout_of_islands(const SweepOptions& options) {
  return Layout::blocks(options.particles, static_cast<int>(options.n_islands()));
}

Census first_census(const SweepOptions& options, std::int64_t prompt_tokens, int n_ranks) {
  if (options.n_islands() == 0)
    return {Layout::sharded(options.particles, n_parts(options, n_ranks), n_ranks), prompt_tokens};
  const Layout ranks = Layout::blocks(options.n_islands(), n_ranks);
  return Census::of_islands(layout_of_islands(options), {ranks.ranks().begin(), ranks.ranks().end()}, n_ranks,
                            prompt_tokens);
}

}  // namespace

std::vector<std::int64_t> first_sizes(const SweepOptions& options, int n_ranks) {
  return Layout::shard_sizes(options.particles, n_parts(options, n_ranks), n_ranks);
}

std::vector<std::int64_t> first_ids(std::span<const std::int64_t> sizes, int r) {
  std::vector<std::int64_t> ids(at(sizes[at(r)]));
  std::iota(ids.begin(), ids.end(), std::reduce(sizes.begin(), sizes.begin() + r));
  return ids;
}

std::vector<std::int32_t> first_islands(const SweepOptions& options, std::span<const std::int64_t> ids) {
  const Layout layout = layout_of_islands(options);
  std::vector<std::int32_t> out;
  for (const std::int64_t id : ids) out.push_back(layout.rank_of(id));
  return out;
}

Whole::Whole(const SweepOptions& options, std::int64_t prompt_tokens, int n_ranks)
    : census(first_census(options, prompt_tokens, n_ranks)), genealogy(options.particles) {}

Assignment deliver(std::vector<Assignment> all, const comm::Communicator& comm) {
  std::vector<comm::Parcel> parcels;
  for (std::size_t r = 1; r < all.size(); ++r) parcels.push_back({static_cast<int>(r), to_bytes(all[r])});
  std::vector<int> sources;
  if (comm.rank() > 0) sources.push_back(0);
  const std::vector<comm::Parcel> arrived = comm::sparse_exchange(parcels, sources, comm);
  return comm.rank() == 0 ? std::move(all.front()) : assignment_from(arrived.front().bytes);
}

}  // namespace twistor::smc
