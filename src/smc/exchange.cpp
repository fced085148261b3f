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
/// scores where there are some, and the cache's blocks.
std::vector<std::byte> pack(Population& p, std::span<const Travel> travels, ExchangeCount& count) {
  std::vector<std::int64_t> nodes;
  for (const Travel& travel : travels) nodes.push_back(p.node[at(travel.place)]);
  std::vector<RowBytes> tensors;
  for (const at::Tensor* const tensor : travelling(p)) tensors.emplace_back(*tensor, nodes);
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
    const std::vector<std::byte> blocks = p.cache->export_sequence(node, travels[c].shared_blocks);
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
  Unpacker(Population& p, std::int64_t n) : p_(p), path_(at(p.history.depth())) {
    for (at::Tensor* const tensor : travelling(p)) tensors_.emplace_back(*tensor, n);
  }

  /// The next one. The donor is the node that shares its first blocks.
  Heritage unpack(ByteReader& in, std::int64_t shared_blocks, std::int64_t donor) {
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
    out.node = p_.cache->import_sequence(donors, shared_blocks, in.take(n_bytes));
    return out;
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

std::vector<Heritage> unpack(Population& p, std::span<const Travel> receives,
                             std::span<const comm::Parcel> parcels) {
  std::vector<Heritage> out;
  Unpacker unpacker(p, static_cast<std::int64_t>(receives.size()));
  const auto of_source = by_peer(receives);
  for (std::size_t s = 0; s < parcels.size(); ++s) {
    ByteReader in(parcels[s].bytes);
    for (const Travel& travel : of_source[s])
      out.push_back(
          unpacker.unpack(in, travel.shared_blocks, travel.place < 0 ? 0 : p.node[at(travel.place)]));
    in.finish();
  }
  unpacker.finish();
  return out;
}

}  // namespace

ExchangeCount exchange(Population& population, const Assignment& assignment, const comm::Communicator& comm) {
  Population& p = population;
  ExchangeCount count;
  std::vector<comm::Parcel> outgoing;
  for (const auto travels : by_peer(assignment.sends)) {
    outgoing.push_back({travels.front().peer, pack(p, travels, count)});
    count.sent_messages += static_cast<std::int64_t>(travels.size());
    count.sent_bytes += static_cast<std::int64_t>(outgoing.back().bytes.size());
  }
  std::vector<int> sources;
  for (const auto travels : by_peer(assignment.receives)) sources.push_back(travels.front().peer);
  const auto arrivals = unpack(p, assignment.receives, comm::sparse_exchange(outgoing, sources, comm));

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
