// SPDX-License-Identifier: Apache-2.0
// Moving offspring to where they live.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <utility>

#include "at.hpp"
#include "byte_stream.hpp"
#include "select_rows.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/sparse_exchange.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/device/kv_store.hpp"
#include "twistor/smc/population.hpp"

namespace twistor::smc {
namespace {

/// The copies of one peer after another.
std::vector<std::span<const Travel>> by_peer(std::span<const Travel> travels) {
  std::vector<std::span<const Travel>> out;
  for (std::size_t begin = 0; begin < travels.size();) {
    std::size_t end = begin;
    while (end < travels.size() && travels[end].peer == travels[begin].peer) ++end;
    out.push_back(travels.subspan(begin, end - begin));
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

/// How copies of particles go to other ranks: all as bytes in host memory, or what lies on a device apart, as
/// tensors.
class Route {
 public:
  Route(Population& p, const comm::Communicator& comm) : carrier_(comm.tensors()) {
    if (carrier_ != nullptr && p.hidden.device() != carrier_->device()) carrier_ = nullptr;
  }
  [[nodiscard]] comm::TensorCollectives* carrier() const { return carrier_; }
  [[nodiscard]] bool is_apart(const at::Tensor& tensor) const {
    return carrier_ != nullptr && tensor.device() == carrier_->device();
  }
  [[nodiscard]] std::vector<at::Tensor*> apart(Population& p) const { return some(p, true); }
  [[nodiscard]] std::vector<at::Tensor*> as_bytes(Population& p) const { return some(p, false); }

 private:
  [[nodiscard]] std::vector<at::Tensor*> some(Population& p, bool apart) const {
    std::vector<at::Tensor*> out = travelling(p);
    std::erase_if(out, [&](const at::Tensor* tensor) { return is_apart(*tensor) != apart; });
    return out;
  }
  comm::TensorCollectives* carrier_;
};

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

/// Of each copy: its weight, guide and founder, the tokens with their log-probabilities, the hidden row, the
/// scores where there are some, and the cache's blocks; but for what travels apart.
std::vector<std::byte> pack(Population& p, std::span<const Travel> travels, const Route& route,
                            model::BlocksApart& apart, ExchangeCount& count) {
  std::vector<std::int64_t> nodes;
  for (const Travel& travel : travels) nodes.push_back(p.node[at(travel.place)]);
  std::vector<RowBytes> tensors;
  for (const at::Tensor* const tensor : route.as_bytes(p)) tensors.emplace_back(*tensor, nodes);
  ByteWriter out;
  for (std::size_t c = 0; c < travels.size(); ++c) {
    const std::int64_t node = nodes[c];
    const Heritage heritage = p.heritage(at(travels[c].place));
    for (const double value : {heritage.log_w, heritage.log_guide}) out.add_value(value);
    out.add_value(heritage.founder);
    for (const Step& step : p.history.path(p.leaf[at(node)])) {
      out.add_value(step.token);
      for (const double value : {step.log_p0, step.log_q, step.log_psi}) out.add_value(value);
    }
    for (const RowBytes& rows : tensors) out.add(rows.of(c));
    if (p.has_scores) {
      out.add_value(p.scores.log_sum_p0[at(node)]);
      out.add_value(p.scores.log_sum_q[at(node)]);
    }
    const std::int64_t shared = travels[c].shared_blocks;
    const std::vector<std::byte> blocks = route.carrier() != nullptr
                                              ? p.cache->export_apart(node, shared, apart)
                                              : p.cache->export_sequence(node, shared);
    out.add_array(blocks);
    count.cache_bytes += static_cast<std::int64_t>(blocks.size());
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
  void read_one(ByteReader& in) {
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
  Unpacker(Population& p, std::int64_t n, const Route& route)
      : p_(p), route_(route), path_(at(p.history.depth())) {
    for (at::Tensor* const tensor : route.as_bytes(p)) tensors_.emplace_back(*tensor, n);
  }

  /// The next one. The donor is the node that shares its first blocks.
  Heritage unpack(ByteReader& in, std::int64_t shared_blocks, std::int64_t donor, model::BlocksApart& apart) {
    Heritage out;
    in.read(out.log_w);
    in.read(out.log_guide);
    in.read(out.founder);
    for (Step& step : path_) {
      in.read(step.token);
      for (double* value : {&step.log_p0, &step.log_q, &step.log_psi}) in.read(*value);
    }
    p_.leaf.push_back(path_.empty() ? -1 : p_.history.add(path_));
    for (ArrivingRows& rows : tensors_) rows.read_one(in);
    if (p_.has_scores) {
      in.read(p_.scores.log_sum_p0.emplace_back());
      in.read(p_.scores.log_sum_q.emplace_back());
    }
    std::size_t n_bytes = 0;
    in.read(n_bytes);
    const std::vector<std::int64_t> donors(at(shared_blocks), donor);
    const auto bytes = in.take(n_bytes);
    out.node = route_.carrier() != nullptr ? p_.cache->import_apart(donors, shared_blocks, bytes, apart)
                                           : p_.cache->import_sequence(donors, shared_blocks, bytes);
    return out;
  }

  /// Puts the rows of tensors after those of the nodes that were there.
  void finish() {
    for (ArrivingRows& rows : tensors_) rows.append();
  }

 private:
  Population& p_;
  const Route& route_;
  std::vector<ArrivingRows> tensors_;
  std::vector<Step> path_;
};

/// `apart` gets the blocks of each source that are still to be filled.
std::vector<Heritage> unpack(Population& p, std::span<const Travel> receives,
                             std::span<const comm::Parcel> parcels, const Route& route,
                             std::span<model::BlocksApart> apart) {
  std::vector<Heritage> out;
  Unpacker unpacker(p, static_cast<std::int64_t>(receives.size()), route);
  const auto of_source = by_peer(receives);
  for (std::size_t s = 0; s < parcels.size(); ++s) {
    ByteReader in(parcels[s].bytes);
    for (const Travel& travel : of_source[s])
      out.push_back(unpacker.unpack(in, travel.shared_blocks, travel.place < 0 ? 0 : p.node[at(travel.place)],
                                    apart[s]));
    in.finish();
  }
  unpacker.finish();
  return out;
}

/// Rows and blocks on a device, all in one exchange.
class TensorTravel {
 public:
  TensorTravel(Population& p, const Route& route) : p_(p), route_(route) {}

  void add_rows(std::span<const Travel> sends, std::span<const Travel> receives) {
    std::vector<std::int64_t> nodes;
    for (const Travel& travel : sends) nodes.push_back(p_.node[at(travel.place)]);
    for (at::Tensor* const rows : route_.apart(p_)) {
      add_slices(select_rows(*rows, nodes), sends, sends_);
      arriving_.push_back(
          at::empty({static_cast<std::int64_t>(receives.size()), rows->size(1)}, rows->options()));
      add_slices(arriving_.back(), receives, receives_);
    }
  }
  /// Gives the bytes of the blocks.
  std::int64_t send_blocks(int peer, const model::BlocksApart& apart) {
    std::int64_t n_bytes = 0;
    for (const auto& [store, blocks] : apart.all()) {
      if (blocks.empty()) continue;
      sends_.push_back({peer, store->gather(blocks)});
      n_bytes += static_cast<std::int64_t>(sends_.back().tensor.nbytes());
    }
    return n_bytes;
  }
  void receive_blocks(int peer, const model::BlocksApart& apart) {
    for (const auto& of_store : apart.all()) {
      if (of_store.blocks.empty()) continue;
      const auto n = static_cast<std::int64_t>(of_store.blocks.size());
      const auto options = at::TensorOptions().dtype(at::kByte).device(route_.carrier()->device());
      receives_.push_back({peer, at::empty({n, of_store.store->block_bytes()}, options)});
      to_fill_.push_back({of_store, receives_.back().tensor});
    }
  }
  [[nodiscard]] std::int64_t sent_bytes() const {
    std::int64_t sum = 0;
    for (const comm::TensorMessage& message : sends_)
      sum += static_cast<std::int64_t>(message.tensor.nbytes());
    return sum;
  }

  /// *Collective over the pairs.*
  void run() {
    route_.carrier()->exchange(sends_, receives_);
    route_.carrier()->wait();
    std::size_t i = 0;
    for (at::Tensor* const rows : route_.apart(p_)) {
      if (arriving_[i].size(0) > 0) *rows = at::cat({*rows, arriving_[i]});
      ++i;
    }
    for (const auto& [blocks, rows] : to_fill_) blocks.store->scatter(blocks.blocks, rows);
  }

 private:
  /// One message for each peer: its rows, which lie one after the other.
  static void add_slices(const at::Tensor& rows, std::span<const Travel> travels,
                         std::vector<comm::TensorMessage>& messages) {
    std::int64_t begin = 0;
    for (const auto of_peer : by_peer(travels)) {
      const auto n = static_cast<std::int64_t>(of_peer.size());
      messages.push_back({of_peer.front().peer, rows.narrow(0, begin, n)});
      begin += n;
    }
  }

  struct ToFill {
    model::BlocksApart::OfStore blocks;
    at::Tensor rows;
  };
  Population& p_;
  const Route& route_;
  std::vector<comm::TensorMessage> sends_, receives_;
  std::vector<at::Tensor> arriving_;  // rows of what travels apart
  std::vector<ToFill> to_fill_;
};

}  // namespace

ExchangeCount exchange(Population& population, const Assignment& assignment, const comm::Communicator& comm) {
  Population& p = population;
  const Route route(p, comm);
  TensorTravel tensors(p, route);
  ExchangeCount count;
  if (route.carrier() != nullptr) tensors.add_rows(assignment.sends, assignment.receives);
  std::vector<comm::Parcel> outgoing;
  for (const auto travels : by_peer(assignment.sends)) {
    model::BlocksApart apart;
    outgoing.push_back({travels.front().peer, pack(p, travels, route, apart, count)});
    count.cache_bytes += tensors.send_blocks(travels.front().peer, apart);
    count.sent_messages += static_cast<std::int64_t>(travels.size());
    count.sent_bytes += static_cast<std::int64_t>(outgoing.back().bytes.size());
  }
  count.sent_bytes += tensors.sent_bytes();
  std::vector<int> sources;
  for (const auto travels : by_peer(assignment.receives)) sources.push_back(travels.front().peer);
  std::vector<model::BlocksApart> apart(sources.size());
  const auto arrivals =
      unpack(p, assignment.receives, comm::sparse_exchange(outgoing, sources, comm), route, apart);
  for (std::size_t s = 0; s < sources.size(); ++s) tensors.receive_blocks(sources[s], apart[s]);
  if (route.carrier() != nullptr) tensors.run();

  std::vector<Heritage> heritage;
  for (const std::int32_t origin : assignment.origins) {
    heritage.push_back(origin >= 0 ? p.heritage(at(origin)) : arrivals[at(~origin)]);
    count.moved_copies += origin >= 0 ? 0 : 1;
  }
  TWISTOR_ASSERT(heritage.size() == p.ids.size(), "a rank hosts as many particles as before");
  p.ids.assign(assignment.ids.begin(), assignment.ids.end());
  for (std::size_t i = 0; i < heritage.size(); ++i) p.inherit(i, heritage[i]);
  return count;
}

}  // namespace twistor::smc
