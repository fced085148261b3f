// SPDX-License-Identifier: Apache-2.0
// One rank's shard of the particles, and how particles travel between ranks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "twistor/comm/communicator.hpp"
#include "twistor/model/cache.hpp"
#include "twistor/smc/census.hpp"
#include "twistor/smc/history.hpp"
#include "twistor/smc/proposal.hpp"

namespace twistor::smc {

/// What a child has from its parent when a population is resampled.
struct Heritage {
  std::int64_t node = 0;
  double log_w = 0, log_guide = 0;
  std::int64_t founder = 0;
};

/// What is kept of every particle, structure of arrays over the k local ones; (k, T) arrays are row-major.
/// Particles with the same prefix point to one node: a sequence of the cache, a row of `hidden`, a leaf of
/// the history. During a sweep what they have drawn stands in the history alone; at its end in the (k, T)
/// arrays.
struct Population {
  std::int64_t T = 0;
  std::vector<std::int64_t> ids;      ///< (k) global ids, increasing
  std::vector<std::int64_t> node;     ///< (k) index of the prefix
  std::vector<std::int64_t> tokens;   ///< (k, T)
  std::vector<double> log_p0;         ///< (k, T) log p0(s_t | s_{<t})
  std::vector<double> log_q;          ///< (k, T) log q(s_t | s_{<t})
  std::vector<double> log_psi;        ///< (k, T) log psi_t(s_{1:t})
  std::vector<double> log_w;          ///< (k) since the last resampling
  std::vector<double> log_guide;      ///< (k) log g of the prefix, which weights have in them; 0 if unguided
  std::vector<std::int64_t> founder;  ///< (k) id of the first particle of its line
  std::unique_ptr<model::Cache> cache;  ///< one sequence per node
  at::Tensor hidden;                    ///< (nodes, D) of the last token
  RowScores scores;                     ///< of `hidden`, if has_scores, which is the same on every rank
  bool has_scores = false;
  History history;
  std::vector<std::int64_t> leaf;  ///< (nodes) in the history; -1 before the first token

  Population(std::int64_t length, std::vector<std::int64_t> my_ids);
  /// log psi of a node's last token; 0 before the first.
  [[nodiscard]] double log_psi_of(std::int64_t node_index) const {
    const std::int64_t i = leaf[static_cast<std::size_t>(node_index)];
    return i < 0 ? 0.0 : history.leaf(i).log_psi;
  }
  /// Adds what was drawn from the nodes to the history. The particles stay at their nodes.
  void grow(const Branches& drawn);
  /// After grow(): every particle follows its token to a node of its own prefix, which continues the old
  /// one's cache. `hidden` still belongs to the old nodes; there are no scores.
  void follow(const Branches& drawn);
  /// After the last grow(): fills the (k, T) arrays.
  void write_out(const Branches& last);
  /// Of particle i; and particle i as the child of the one that had it.
  [[nodiscard]] Heritage heritage(std::size_t i) const {
    return {node[i], log_w[i], log_guide[i], founder[i]};
  }
  void inherit(std::size_t i, const Heritage& from) {
    node[i] = from.node;
    log_w[i] = from.log_w;
    log_guide[i] = from.log_guide;
    founder[i] = from.founder;
  }
  /// Nodes that no particle points to are forgotten.
  void drop_childless_nodes();
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
  /// Index into the (k, T) arrays.
  [[nodiscard]] std::size_t at(std::int64_t particle, std::int64_t t) const {
    return static_cast<std::size_t>(particle * T + t);
  }
};

struct ExchangeCount {
  std::int64_t moved_copies = 0;   ///< children that came to this rank from another
  std::int64_t sent_messages = 0;  ///< (ancestor, destination) pairs that this rank sent
  std::int64_t sent_bytes = 0;     ///< by this rank
  std::int64_t cache_bytes = 0;    ///< of these, blocks of the cache
};

/// Turns parents into offspring: local survivors are copied, others travel, at most once for each (ancestor,
/// destination), with only those cache blocks that the destination lacks, and with their scores where the
/// population has them: the heads never see a row twice. What lies on the device of comm.tensors() goes by
/// them, as tensors. *Collective over comm*: one sparse exchange, and one of tensors. All ranks' assignments
/// come from one Census.
ExchangeCount exchange(Population& population, const Assignment& assignment, const comm::Communicator& comm);

}  // namespace twistor::smc
