// SPDX-License-Identifier: Apache-2.0
// Moving offspring to where they live.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/sparse_exchange.hpp"
#include "twistor/smc/population.hpp"

namespace twistor::smc {
namespace {

class Writer {
 public:
  void add(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  template <class T>
  void add_values(const T* data, std::size_t n) {
    add(std::as_bytes(std::span(data, n)));
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  std::span<const std::byte> take(std::size_t n) {
    TWISTOR_CHECK(n <= rest_.size(), ErrorKind::peer, "receiving particles from another rank",
                  fmt::format("expected {} more bytes, got {}", n, rest_.size()));
    const auto piece = rest_.first(n);
    rest_ = rest_.subspan(n);
    return piece;
  }
  template <class T>
  void read_values(T* data, std::size_t n) {
    std::memcpy(data, take(n * sizeof(T)).data(), n * sizeof(T));
  }
  [[nodiscard]] bool is_empty() const { return rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
};

/// Places of all particles of this rank; -1 for those of other ranks. // (K)
std::vector<std::int64_t> places(const Population& p, std::int64_t K) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(K), -1);
  for (std::int64_t i = 0; i < p.size(); ++i)
    out[static_cast<std::size_t>(p.ids[static_cast<std::size_t>(i)])] = i;
  return out;
}

std::vector<std::int64_t> ancestors_of(std::span<const Copy> copies) {
  std::vector<std::int64_t> out;
  for (const Copy& copy : copies) out.push_back(copy.ancestor);
  return out;
}

/// The copies of one peer, as a subspan.
template <class Peer>
std::vector<std::span<const Copy>> by_peer(std::span<const Copy> copies, Peer peer) {
  std::vector<std::span<const Copy>> out;
  for (std::size_t begin = 0; begin < copies.size();) {
    std::size_t end = begin;
    while (end < copies.size() && peer(copies[end]) == peer(copies[begin])) ++end;
    out.push_back(copies.subspan(begin, end - begin));
    begin = end;
  }
  return out;
}

/// The tensors whose rows travel with nodes, in a fixed order.
std::vector<at::Tensor*> travelling(Population& p) {
  std::vector<at::Tensor*> out{&p.hidden};
  if (!p.has_scores) return out;
  for (at::Tensor* const tensor : p.scores.tensors()) out.push_back(tensor);
  return out;
}

/// Some rows of a tensor in host memory, as bytes one after the other.
class RowBytes {
 public:
  RowBytes(const at::Tensor& rows, std::span<const std::int64_t> index)
      : rows_(select_rows(rows, index).to(at::kCPU)),
        size_(static_cast<std::size_t>(rows.size(1) * rows.element_size())) {}
  [[nodiscard]] std::span<const std::byte> of(std::size_t i) const {
    return {static_cast<const std::byte*>(rows_.const_data_ptr()) + i * size_, size_};
  }

 private:
  at::Tensor rows_;
  std::size_t size_;
};

/// Of each copy: the tokens with their log-probabilities, the hidden row, the scores where there are some,
/// and the cache's blocks.
std::vector<std::byte> pack(Population& p, std::span<const Copy> copies,
                            std::span<const BlockNames::Shared> shared,
                            std::span<const std::int64_t> place_of, ExchangeCount& count) {
  std::vector<std::int64_t> nodes;
  for (const Copy& copy : copies)
    nodes.push_back(p.node[static_cast<std::size_t>(place_of[static_cast<std::size_t>(copy.ancestor)])]);
  std::vector<RowBytes> tensors;
  for (const at::Tensor* const tensor : travelling(p)) tensors.emplace_back(*tensor, nodes);
  Writer out;
  for (std::size_t c = 0; c < copies.size(); ++c) {
    const std::int64_t node = nodes[c];
    const std::vector<Step> path = p.history.path(p.leaf[static_cast<std::size_t>(node)]);
    for (const Step& step : path) {
      out.add_values(&step.token, 1);
      for (const double* value : {&step.log_p0, &step.log_q, &step.log_psi}) out.add_values(value, 1);
    }
    for (const RowBytes& rows : tensors) out.add(rows.of(c));
    if (p.has_scores) {
      out.add_values(&p.scores.log_sum_p0[static_cast<std::size_t>(node)], 1);
      out.add_values(&p.scores.log_sum_q[static_cast<std::size_t>(node)], 1);
    }
    const std::vector<std::byte> blocks = p.cache->export_sequence(node, shared[c].n_blocks);
    const auto n_bytes = static_cast<std::int64_t>(blocks.size());
    out.add_values(&n_bytes, 1);
    out.add(blocks);
    count.cache_bytes += n_bytes;
  }
  return out.take();
}

/// Rows that arrive for a tensor, in their order.
class ArrivingRows {
 public:
  ArrivingRows(at::Tensor& rows, std::int64_t n)
      : to_(rows),
        rows_(at::empty({n, rows.size(1)}, rows.scalar_type())),
        next_(static_cast<std::byte*>(rows_.mutable_data_ptr())) {}
  void read_one(Reader& in) {
    const auto n_bytes = static_cast<std::size_t>(rows_.size(1) * rows_.element_size());
    in.read_values(next_, n_bytes);
    next_ += n_bytes;
  }
  /// Puts them after the rows that are there.
  void append() {
    if (rows_.size(0) > 0) to_ = at::cat({to_, rows_.to(to_.device())});
  }

 private:
  at::Tensor& to_;
  at::Tensor rows_;  // in host memory
  std::byte* next_;
};

/// Turns what arrives into new nodes. Nodes that are there already keep their numbers.
class Unpacker {
 public:
  Unpacker(Population& p, std::int64_t n) : p_(p), path_(static_cast<std::size_t>(p.history.depth())) {
    for (at::Tensor* const tensor : travelling(p)) tensors_.emplace_back(*tensor, n);
  }

  /// The next node. The donor is the node that shares its first blocks.
  std::int64_t unpack(Reader& in, const BlockNames::Shared& shared, std::int64_t donor) {
    for (Step& step : path_) {
      in.read_values(&step.token, 1);
      for (double* value : {&step.log_p0, &step.log_q, &step.log_psi}) in.read_values(value, 1);
    }
    p_.leaf.push_back(path_.empty() ? -1 : p_.history.add(path_));
    for (ArrivingRows& rows : tensors_) rows.read_one(in);
    if (p_.has_scores) {
      in.read_values(&p_.scores.log_sum_p0.emplace_back(), 1);
      in.read_values(&p_.scores.log_sum_q.emplace_back(), 1);
    }
    std::int64_t n_bytes = 0;
    in.read_values(&n_bytes, 1);
    const std::vector<std::int64_t> donors(static_cast<std::size_t>(shared.n_blocks), donor);
    return p_.cache->import_sequence(donors, shared.n_blocks, in.take(static_cast<std::size_t>(n_bytes)));
  }

  /// Puts the rows of tensors after those of the nodes that were there.
  void finish() {
    for (ArrivingRows& rows : tensors_) rows.append();
  }

 private:
  Population& p_;
  std::vector<ArrivingRows> tensors_;
  std::vector<Step> path_;
};

}  // namespace

ExchangeCount exchange(Population& population, std::span<const std::int64_t> ancestor_of_id,
                       const Layout& before, const Placement& placement, const BlockNames& names,
                       const comm::Communicator& comm) {
  const int me = comm.rank();
  const std::vector<std::int64_t> place_of = places(population, before.size());

  ExchangeCount count;
  count.moved_copies = placement.n_moved;
  std::vector<comm::Parcel> outgoing;
  const auto outgoing_copies = by_peer(placement.sends_of(me), [](const Copy& c) { return c.to; });
  std::vector<int> destinations;
  for (const auto copies : outgoing_copies) destinations.push_back(copies.front().to);
  const std::vector<std::vector<std::int64_t>> holders = before.ids_of(destinations);
  for (std::size_t d = 0; d < destinations.size(); ++d) {
    const auto copies = outgoing_copies[d];
    const auto shared = names.shared_with(ancestors_of(copies), holders[d]);
    outgoing.push_back({destinations[d], pack(population, copies, shared, place_of, count)});
    count.sent_messages += static_cast<std::int64_t>(copies.size());
    count.sent_bytes += static_cast<std::int64_t>(outgoing.back().bytes.size());
  }
  const auto incoming_copies = by_peer(placement.receives_of(me), [](const Copy& c) { return c.from; });
  std::vector<int> sources;
  for (const auto copies : incoming_copies) sources.push_back(copies.front().from);
  const std::vector<comm::Parcel> incoming = comm::sparse_exchange(outgoing, sources, comm);

  std::unordered_map<std::int64_t, std::int64_t> node_of_arrival;  // by ancestor
  Unpacker unpacker(population, static_cast<std::int64_t>(placement.receives_of(me).size()));
  for (std::size_t s = 0; s < incoming.size(); ++s) {
    const auto copies = incoming_copies[s];
    const auto shared = names.shared_with(ancestors_of(copies), population.ids);
    Reader in(incoming[s].bytes);
    for (std::size_t c = 0; c < copies.size(); ++c) {
      const std::int64_t donor =
          shared[c].donor_id < 0
              ? 0
              : population
                    .node[static_cast<std::size_t>(place_of[static_cast<std::size_t>(shared[c].donor_id)])];
      node_of_arrival.emplace(copies[c].ancestor, unpacker.unpack(in, shared[c], donor));
    }
    TWISTOR_CHECK(in.is_empty(), ErrorKind::peer, "receiving particles from another rank",
                  "the message is too long");
  }
  unpacker.finish();

  std::vector<std::int64_t> ids = placement.after.ids_of(me), node(ids.size());
  for (std::size_t to = 0; to < ids.size(); ++to) {
    const std::int64_t ancestor = ancestor_of_id[static_cast<std::size_t>(ids[to])],
                       from = place_of[static_cast<std::size_t>(ancestor)];
    node[to] = from >= 0 ? population.node[static_cast<std::size_t>(from)] : node_of_arrival.at(ancestor);
  }
  population.ids = std::move(ids);
  population.node = std::move(node);
  population.log_w.assign(population.ids.size(), 0.0);
  return count;
}

}  // namespace twistor::smc
