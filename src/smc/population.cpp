// SPDX-License-Identifier: Apache-2.0
// Particle arrays.
#include "twistor/smc/population.hpp"

#include <numeric>
#include <utility>

#include "select_rows.hpp"
#include "twistor/base/parallel.hpp"

namespace twistor::smc {

Population::Population(std::int64_t length, std::vector<std::int64_t> my_ids)
    : T(length),
      ids(std::move(my_ids)),
      node(ids.size(), 0),
      tokens(ids.size() * static_cast<std::size_t>(T), -1),
      log_p0(tokens.size()),
      log_q(tokens.size()),
      log_psi(tokens.size()),
      log_w(ids.size()),
      log_guide(ids.size()),
      founder(ids) {}

void Population::grow(const Branches& drawn) {
  std::vector<Step> level(drawn.rows.size());
  for (std::size_t j = 0; j < level.size(); ++j)
    level[j] = {leaf[static_cast<std::size_t>(drawn.rows[j])], drawn.tokens.tokens[j], drawn.tokens.log_p0[j],
                drawn.tokens.log_q[j], drawn.tokens.log_psi[j]};
  history.grow(std::move(level));
}

void Population::follow(const Branches& drawn) {
  node = drawn.of;
  leaf.resize(drawn.rows.size());
  std::iota(leaf.begin(), leaf.end(), std::int64_t{0});
  cache->select(drawn.rows);
  has_scores = false;
}

void Population::write_out(const Branches& last) {
  parallel_for(size(), size() > 1024, [&](std::int64_t i) {
    history.walk_back(last.of[static_cast<std::size_t>(i)], [&](std::int64_t t, const Step& step) {
      const std::size_t to = at(i, t);
      tokens[to] = step.token;
      log_p0[to] = step.log_p0;
      log_q[to] = step.log_q;
      log_psi[to] = step.log_psi;
    });
  });
}

void Population::drop_childless_nodes() {
  std::vector<std::int64_t> kept, new_index(static_cast<std::size_t>(hidden.size(0)), -1), leaf_of_kept;
  for (std::int64_t& n : node) {
    std::int64_t& index = new_index[static_cast<std::size_t>(n)];
    if (index < 0) {
      index = static_cast<std::int64_t>(kept.size());
      kept.push_back(n);
      leaf_of_kept.push_back(leaf[static_cast<std::size_t>(n)]);
    }
    n = index;
  }
  cache->select(kept);
  hidden = select_rows(hidden, kept);
  leaf = std::move(leaf_of_kept);
  if (has_scores) scores.select(kept);
}

}  // namespace twistor::smc
