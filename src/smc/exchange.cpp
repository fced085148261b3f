// Moving offspring to where they live.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

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

/// One particle's rows of the (k, T) arrays.
struct History {
  std::vector<std::int64_t> tokens;
  std::vector<double> log_p0, log_q, log_psi;
};

/// Calls visit(mine, yours) for each of the (k, T) arrays and the members of History that belong to it.
template <class P, class H, class Visit>
void for_each_column(P& population, H& history, Visit visit) {
  visit(population.tokens, history.tokens);
  visit(population.log_p0, history.log_p0);
  visit(population.log_q, history.log_q);
  visit(population.log_psi, history.log_psi);
}

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

std::vector<std::byte> pack(const Population& p, std::span<const Copy> copies,
                            std::span<const BlockNames::Shared> shared,
                            std::span<const std::int64_t> place_of) {
  Writer out;
  for (std::size_t c = 0; c < copies.size(); ++c) {
    const std::int64_t i = place_of[static_cast<std::size_t>(copies[c].ancestor)];
    for_each_column(p, p, [&](const auto& column, const auto&) {
      out.add_values(column.data() + i * p.T, static_cast<std::size_t>(p.T));
    });
    const std::int64_t node = p.node[static_cast<std::size_t>(i)];
    const auto row_bytes = static_cast<std::size_t>(p.hidden.size(1) * p.hidden.element_size());
    out.add({static_cast<const std::byte*>(p.hidden.const_data_ptr()) +
                 static_cast<std::size_t>(node) * row_bytes,
             row_bytes});
    const std::vector<std::byte> blocks = p.cache->export_sequence(node, shared[c].n_blocks);
    const auto n_bytes = static_cast<std::int64_t>(blocks.size());
    out.add_values(&n_bytes, 1);
    out.add(blocks);
  }
  return out.take();
}

/// An ancestor that arrived: its node here and its history.
struct Arrival {
  std::int64_t node = 0;
  History history;
};

Arrival unpack_one(Population& p, Reader& in, const BlockNames::Shared& shared, std::int64_t donor_node,
                   std::byte* hidden_row) {
  const auto T = static_cast<std::size_t>(p.T);
  Arrival a{
      0,
      {std::vector<std::int64_t>(T), std::vector<double>(T), std::vector<double>(T), std::vector<double>(T)}};
  in.read_values(a.history.tokens.data(), T);
  in.read_values(a.history.log_p0.data(), T);
  in.read_values(a.history.log_q.data(), T);
  in.read_values(a.history.log_psi.data(), T);
  in.read_values(hidden_row, static_cast<std::size_t>(p.hidden.size(1) * p.hidden.element_size()));
  std::int64_t n_bytes = 0;
  in.read_values(&n_bytes, 1);
  const std::vector<std::int64_t> donors(static_cast<std::size_t>(shared.n_blocks), donor_node);
  a.node = p.cache->import_sequence(donors, shared.n_blocks, in.take(static_cast<std::size_t>(n_bytes)));
  return a;
}

}  // namespace

ExchangeCount exchange(Population& population, std::span<const std::int64_t> ancestor_of_id,
                       const Layout& before, const Placement& placement, const BlockNames& names,
                       const comm::Communicator& comm) {
  const int me = comm.rank();
  const std::vector<std::int64_t> place_of = places(population, before.size());

  ExchangeCount count;
  count.moved_copies = placement.n_moved;
  std::vector<comm::Parcel> outgoing;
  for (const auto copies : by_peer(placement.sends_of(me), [](const Copy& c) { return c.to; })) {
    const int to = copies.front().to;
    const auto shared = names.shared_with(ancestors_of(copies), before.ids_of(to));
    outgoing.push_back({to, pack(population, copies, shared, place_of)});
    count.sent_messages += static_cast<std::int64_t>(copies.size());
    count.sent_bytes += static_cast<std::int64_t>(outgoing.back().bytes.size());
  }
  const auto incoming_copies = by_peer(placement.receives_of(me), [](const Copy& c) { return c.from; });
  std::vector<int> sources;
  for (const auto copies : incoming_copies) sources.push_back(copies.front().from);
  const std::vector<comm::Parcel> incoming = comm::sparse_exchange(outgoing, sources, comm);

  std::unordered_map<std::int64_t, Arrival> arrivals;
  const auto n_arrivals = static_cast<std::int64_t>(placement.receives_of(me).size());
  at::Tensor arrived_hidden = at::empty({n_arrivals, population.hidden.size(1)}, population.hidden.options());
  auto* hidden_row = static_cast<std::byte*>(arrived_hidden.mutable_data_ptr());
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
      arrivals.emplace(copies[c].ancestor, unpack_one(population, in, shared[c], donor, hidden_row));
      hidden_row += population.hidden.size(1) * population.hidden.element_size();
    }
    TWISTOR_CHECK(in.is_empty(), ErrorKind::peer, "receiving particles from another rank",
                  "the message is too long");
  }
  if (n_arrivals > 0) population.hidden = at::cat({population.hidden, arrived_hidden});

  Population next(population.T, placement.after.ids_of(me));
  for (std::int64_t to = 0; to < next.size(); ++to) {
    const std::int64_t ancestor =
        ancestor_of_id[static_cast<std::size_t>(next.ids[static_cast<std::size_t>(to)])];
    const std::int64_t from = place_of[static_cast<std::size_t>(ancestor)];
    if (from >= 0) {
      next.node[static_cast<std::size_t>(to)] = population.node[static_cast<std::size_t>(from)];
      for_each_column(next, population, [&](auto& mine, const auto& theirs) {
        std::copy_n(theirs.begin() + from * next.T, next.T, mine.begin() + to * next.T);
      });
    } else {
      const Arrival& arrival = arrivals.at(ancestor);
      next.node[static_cast<std::size_t>(to)] = arrival.node;
      for_each_column(next, arrival.history, [&](auto& mine, const auto& theirs) {
        std::copy_n(theirs.begin(), next.T, mine.begin() + to * next.T);
      });
    }
  }
  next.cache = std::move(population.cache);
  next.hidden = std::move(population.hidden);
  population = std::move(next);
  return count;
}

}  // namespace twistor::smc
