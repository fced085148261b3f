// SPDX-License-Identifier: Apache-2.0
// The fixed tree: who adds what, and the messages between the ranks that hold the leaves.
#include "twistor/comm/tree_reduce.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <limits>

#include "tags.hpp"
#include "tree_leaves.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"
#include "twistor/comm/native.hpp"

namespace twistor::comm {
namespace {

constexpr const char* doing = "adding gradients in the fixed tree";
constexpr std::size_t piece_length = std::size_t{1}
                                     << 20;  // 4 MiB: adding one overlaps with receiving the next

/// Sends that are on their way; their buffers are not touched until wait().
class Sends {
 public:
  explicit Sends(const Communicator& comm) : comm_(&comm) {}
  void start(std::span<const std::byte> bytes, int to) {
    TWISTOR_MPI(MPI_Isend(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, tags::tree,
                          native(*comm_), &requests_.emplace_back(MPI_REQUEST_NULL)),
                doing);
  }
  void wait() {
    TWISTOR_MPI(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE),
                doing);
  }

 private:
  const Communicator* comm_;
  std::vector<MPI_Request> requests_;
};

/// Calls piece(part) for the parts of `data` that travel as one message each.
template <class T, class F>
void for_each_piece(std::span<T> data, const F& piece) {
  for (std::size_t begin = 0; begin < data.size(); begin += piece_length) {
    piece(data.subspan(begin, std::min(piece_length, data.size() - begin)));
  }
}

void add(std::span<float> to, std::span<const float> from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

struct DenseSteps {
  std::vector<std::span<float>>& leaves;
  const Communicator& comm;
  Sends sends{comm};
  std::array<std::vector<float>, 2> buffers{};

  void add(std::size_t to, std::size_t from) const { comm::add(leaves[to], leaves[from]); }

  void send_to(std::size_t leaf, int rank) {
    for_each_piece(leaves[leaf], [&](std::span<float> part) { sends.start(std::as_bytes(part), rank); });
  }

  void add_from(std::size_t leaf, int rank) {
    std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    std::array<std::span<float>, 2> targets{};
    std::size_t turn = 0;
    const auto finish = [&](std::size_t which) {
      if (targets[which].empty()) return;
      TWISTOR_MPI(MPI_Wait(&requests[which], MPI_STATUS_IGNORE), doing);
      comm::add(targets[which], std::span<const float>(buffers[which]).first(targets[which].size()));
      targets[which] = {};
    };
    for_each_piece(leaves[leaf], [&](std::span<float> part) {
      finish(turn);
      buffers[turn].resize(std::min(piece_length, leaves[leaf].size()));
      TWISTOR_MPI(MPI_Irecv(buffers[turn].data(), static_cast<int>(part.size()), MPI_FLOAT, rank, tags::tree,
                            native(comm), &requests[turn]),
                  doing);
      targets[turn] = part;
      turn = 1 - turn;
    });
    finish(turn);
    finish(1 - turn);
  }
};

struct RowSteps {
  std::vector<RowSparse>& leaves;
  const Communicator& comm;
  Sends sends{comm};
  std::deque<std::int64_t> sizes{};  // a deque: what is being sent must not move

  void add(std::size_t to, std::size_t from) const {
    leaves[to] = merge(leaves[to], leaves[from]);
    leaves[from] = {};
  }

  void send_to(std::size_t leaf, int rank) {
    const RowSparse& what = leaves[leaf];
    sizes.push_back(static_cast<std::int64_t>(what.rows.size()));
    sends.start(std::as_bytes(std::span(&sizes.back(), 1)), rank);
    for_each_piece(std::span(what.rows), [&](auto part) { sends.start(std::as_bytes(part), rank); });
    for_each_piece(std::span(what.values), [&](auto part) { sends.start(std::as_bytes(part), rank); });
  }

  void add_from(std::size_t leaf, int rank) const {
    const auto receive = [&](auto part) {
      const auto bytes = std::as_writable_bytes(part);
      TWISTOR_MPI(MPI_Recv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, rank, tags::tree,
                           native(comm), MPI_STATUS_IGNORE),
                  doing);
    };
    std::int64_t n_rows = 0;
    receive(std::span(&n_rows, 1));
    RowSparse other{.rows = std::vector<std::int64_t>(static_cast<std::size_t>(n_rows)),
                    .values = {},
                    .width = leaves[leaf].width};
    other.values.resize(static_cast<std::size_t>(n_rows * other.width));
    for_each_piece(std::span(other.rows), receive);
    for_each_piece(std::span(other.values), receive);
    leaves[leaf] = merge(leaves[leaf], other);
  }
};

void check_form(const RowSparse& leaf, std::int64_t width) {
  TWISTOR_ASSERT(leaf.width == width && width >= 1 &&
                     leaf.values.size() == leaf.rows.size() * static_cast<std::size_t>(leaf.width),
                 "a row-sparse gradient has `width` values a row, the same in every leaf");
  TWISTOR_ASSERT(
      std::adjacent_find(leaf.rows.begin(), leaf.rows.end(), std::greater_equal<>()) == leaf.rows.end(),
      "the rows of a row-sparse gradient increase");
}

}  // namespace

TreeLeaves::TreeLeaves(std::int64_t first, std::size_t count, std::int64_t n_shards, std::int64_t width,
                       const Communicator& comm)
    : rank_(comm.rank()) {
  using Claim = std::array<std::int64_t, 4>;
  const Claim mine{first, static_cast<std::int64_t>(count), n_shards, width};
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(comm.size()), 1);
  const auto claims = all_gather_v(std::span<const Claim>(&mine, 1), ones, comm);
  const auto expected =
      std::find_if(claims.begin(), claims.end(), [](const Claim& claim) { return claim[3] >= 0; });
  begins_.push_back(0);
  for (const Claim& claim : claims) {
    const bool fits = claim[1] == 0 || claim[0] == begins_.back();
    TWISTOR_ASSERT(
        fits && claim[2] == n_shards && (claim[3] < 0 || claim[3] == (*expected)[3]),
        fmt::format("rank {}'s leaves continue those of the rank before and agree in number and length",
                    begins_.size() - 1));
    begins_.push_back(begins_.back() + claim[1]);
  }
  TWISTOR_ASSERT(n_shards >= 1 && begins_.back() == n_shards,
                 fmt::format("the ranks hold all leaves (expected {}, got {})", n_shards, begins_.back()));
}

std::vector<TreeNode> tree_nodes_ending_with(std::int64_t last, std::int64_t first, std::int64_t n_shards) {
  std::vector<TreeNode> out;
  for (std::int64_t a = 0, b = n_shards; b - a >= 2;) {
    const std::int64_t middle = tree_middle(a, b);
    if (b == last + 1 && a >= first) out.push_back({a, middle});
    (last < middle ? b : a) = middle;
  }
  std::ranges::reverse(out);
  return out;
}

RowSparse merge(const RowSparse& left, const RowSparse& right) {
  RowSparse sum{.rows = {}, .values = {}, .width = left.width};
  const auto width = static_cast<std::size_t>(left.width);
  sum.rows.reserve(left.rows.size() + right.rows.size());
  sum.values.reserve(left.values.size() + right.values.size());
  const auto append = [&](const RowSparse& from, std::size_t i) {
    sum.rows.push_back(from.rows[i]);
    const auto row = std::span(from.values).subspan(i * width, width);
    sum.values.insert(sum.values.end(), row.begin(), row.end());
  };
  std::size_t i = 0, j = 0;
  while (i < left.rows.size() || j < right.rows.size()) {
    const bool has_left = i < left.rows.size(), has_right = j < right.rows.size();
    if (has_left && has_right && left.rows[i] == right.rows[j]) {
      append(left, i++);
      add(std::span(sum.values).last(width), std::span(right.values).subspan(width * j++, width));
    } else if (has_left && (!has_right || left.rows[i] < right.rows[j])) {
      append(left, i++);
    } else {
      append(right, j++);
    }
  }
  return sum;
}

void tree_all_reduce(std::vector<std::span<float>> my_shards, std::int64_t first_shard, std::int64_t n_shards,
                     std::span<float> out, const Communicator& comm) {
  for (const auto shard : my_shards)
    TWISTOR_ASSERT(shard.size() == out.size(), "leaves are as long as their sum");
  const TreeLeaves leaves(first_shard, my_shards.size(), n_shards, static_cast<std::int64_t>(out.size()),
                          comm);
  DenseSteps steps{.leaves = my_shards, .comm = comm};
  visit_tree(leaves, 0, n_shards, steps);
  steps.sends.wait();
  const int root = leaves.owner(0);
  if (comm.rank() == root && my_shards[0].data() != out.data()) std::ranges::copy(my_shards[0], out.begin());
  broadcast(out, root, comm);
}

RowSparse tree_all_reduce(std::vector<RowSparse> my_shards, std::int64_t first_shard, std::int64_t n_shards,
                          const Communicator& comm) {
  const std::int64_t width = my_shards.empty() ? -1 : my_shards[0].width;  // -1: this rank has no say
  for (const RowSparse& leaf : my_shards) check_form(leaf, width);
  const TreeLeaves leaves(first_shard, my_shards.size(), n_shards, width, comm);
  RowSteps steps{.leaves = my_shards, .comm = comm};
  visit_tree(leaves, 0, n_shards, steps);
  steps.sends.wait();

  const int root = leaves.owner(0);
  RowSparse sum;
  if (comm.rank() == root) sum = std::move(my_shards[0]);
  std::array<std::int64_t, 2> sizes{static_cast<std::int64_t>(sum.rows.size()), sum.width};
  broadcast(std::span<std::int64_t>(sizes), root, comm);
  sum.rows.resize(static_cast<std::size_t>(sizes[0]));
  sum.width = sizes[1];
  sum.values.resize(static_cast<std::size_t>(sizes[0] * sizes[1]));
  broadcast(std::span<std::int64_t>(sum.rows), root, comm);
  broadcast(std::span<float>(sum.values), root, comm);
  return sum;
}

}  // namespace twistor::comm
