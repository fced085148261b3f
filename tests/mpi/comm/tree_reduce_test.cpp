// SPDX-License-Identifier: Apache-2.0
// The fixed tree, bit for bit against a serial sum of the same tree.
#include "twistor/comm/tree_reduce.hpp"

#include <ATen/ops/empty.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>

#include "twistor/base/error.hpp"
#include "twistor/base/philox.hpp"
#include "twistor/comm/tensor_collectives.hpp"

namespace twistor::comm {
namespace {

float random_value(Philox& random) {
  // Magnitudes over 2^40: any other order of the additions changes bits.
  return static_cast<float>(random.normal()) * std::ldexp(1.0f, static_cast<int>(random.below(40)) - 20);
}

std::vector<float> leaf(std::int64_t i, std::size_t length) {
  std::vector<float> values(length);
  Philox random(11, Stream::test, 0, static_cast<std::uint64_t>(i));
  for (auto& value : values) value = random_value(random);
  return values;
}

std::vector<float> serial(std::int64_t a, std::int64_t b, std::size_t length) {
  if (b - a == 1) return leaf(a, length);
  const auto middle = a + (b - a + 1) / 2;
  auto left = serial(a, middle, length);
  const auto right = serial(middle, b, length);
  for (std::size_t i = 0; i < length; ++i) left[i] += right[i];
  return left;
}

/// Ways to spread n leaves over the ranks: evenly, all on the last rank, and at random cuts.
std::vector<std::int64_t> cuts(int way, std::int64_t n_leaves, int n_ranks) {
  std::vector<std::int64_t> begins;
  Philox random(12, Stream::test, static_cast<std::uint32_t>(way), static_cast<std::uint64_t>(n_leaves));
  for (int r = 1; r < n_ranks; ++r) {
    if (way == 0)
      begins.push_back(n_leaves * r / n_ranks);
    else if (way == 1)
      begins.push_back(0);
    else
      begins.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(n_leaves) + 1)));
  }
  std::sort(begins.begin(), begins.end());
  begins.insert(begins.begin(), 0);
  begins.push_back(n_leaves);
  return begins;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

constexpr std::int64_t leaf_counts[] = {1, 2, 3, 4, 5, 7, 8, 16, 33};

TEST(TreeReduce, HasTheBitsOfTheSerialTreeHoweverTheLeavesAreSpread) {
  const auto world = Communicator::world();
  for (const std::int64_t n : leaf_counts) {
    const auto expected = serial(0, n, 257);
    for (int way = 0; way < 5; ++way) {
      const auto begins = cuts(way, n, world.size());
      const auto first = begins[static_cast<std::size_t>(world.rank())],
                 end = begins[static_cast<std::size_t>(world.rank()) + 1];
      std::vector<std::vector<float>> mine;
      for (auto i = first; i < end; ++i) mine.push_back(leaf(i, 257));
      std::vector<float> out(257);
      tree_all_reduce({mine.begin(), mine.end()}, first, n, out, world);
      EXPECT_TRUE(same_bits(out, expected)) << n << " leaves, way " << way;
    }
  }
}

TEST(TreeReduce, HasTheSameBitsWhereRanksAddTheirLeavesAsTheyCome) {
  const auto world = Communicator::world();
  for (const std::int64_t n : leaf_counts) {
    const auto expected = serial(0, n, 61);
    for (int way = 0; way < 5; ++way) {
      const auto begins = cuts(way, n, world.size());
      const auto first = begins[static_cast<std::size_t>(world.rank())],
                 end = begins[static_cast<std::size_t>(world.rank()) + 1];
      std::vector<std::vector<float>> mine;
      std::int64_t most_kept = 0;
      for (auto i = first; i < end; ++i) {
        mine.push_back(leaf(i, 61));
        for (const auto& [left, right] : tree_nodes_ending_with(i, first, n)) {
          auto &to = mine[static_cast<std::size_t>(left - first)],
               &from = mine[static_cast<std::size_t>(right - first)];
          for (std::size_t j = 0; j < to.size(); ++j) to[j] += from[j];
          from.assign(from.size(), -0.0f);  // what changes nothing
        }
        const auto kept = std::ranges::count_if(mine, [](const auto& v) { return v[0] != 0; });
        most_kept = std::max<std::int64_t>(most_kept, kept);
      }
      if (first == 0) {
        EXPECT_LE(most_kept, std::bit_width(static_cast<std::uint64_t>(n)) + 1);
      }
      std::vector<float> out(61);
      tree_all_reduce({mine.begin(), mine.end()}, first, n, out, world);
      EXPECT_TRUE(same_bits(out, expected)) << n << " leaves, way " << way;
    }
  }
}

Communicator world_with_tensors() {
  auto world = Communicator::world();
  world.carry_tensors_by(make_tensor_collectives(world, at::kCPU));
  return world;
}

at::Tensor tensor(std::span<const float> values, at::IntArrayRef shape) {
  at::Tensor out = at::empty(shape, at::kFloat);
  std::ranges::copy(values, out.mutable_data_ptr<float>());
  return out;
}

std::span<const float> numbers(const at::Tensor& x) {
  return {x.const_data_ptr<float>(), static_cast<std::size_t>(x.numel())};
}

TEST(TreeReduce, OfTensorsHasTheBitsOfTheSerialTree) {
  const auto world = world_with_tensors();
  for (const std::int64_t n : leaf_counts) {
    const auto expected = serial(0, n, 60);
    for (int way = 0; way < 5; ++way) {
      const auto begins = cuts(way, n, world.size());
      const auto first = begins[static_cast<std::size_t>(world.rank())],
                 end = begins[static_cast<std::size_t>(world.rank()) + 1];
      std::vector<at::Tensor> mine;
      for (auto i = first; i < end; ++i) mine.push_back(tensor(leaf(i, 60), {12, 5}));
      const at::Tensor sum =
          tree_all_reduce(std::move(mine), first, n, at::empty({12, 5}, at::kFloat), world);
      EXPECT_EQ(sum.sizes(), (std::vector<std::int64_t>{12, 5}));
      EXPECT_TRUE(same_bits(numbers(sum), expected)) << n << " leaves, way " << way;
    }
  }
}

TEST(TreeReduce, AnotherTreeHasOtherBits) {
  // The control: a sum from left to right must be told apart from the tree, or the test above could not fail.
  auto running = leaf(0, 257);
  for (std::int64_t i = 1; i < 16; ++i) {
    const auto next = leaf(i, 257);
    for (std::size_t j = 0; j < running.size(); ++j) running[j] += next[j];
  }
  EXPECT_FALSE(same_bits(running, serial(0, 16, 257)));
}

TEST(TreeReduce, LongLeavesTravelInPieces) {
  const auto world = Communicator::world();
  const std::size_t length = (std::size_t{5} << 19) + 3,
                    period = 1021;  // two and a half pieces of repeated numbers
  const std::int64_t n = world.size() + 1;
  const auto repeat = [&](const std::vector<float>& values) {
    std::vector<float> all(length);
    for (std::size_t i = 0; i < length; ++i) all[i] = values[i % period];
    return all;
  };
  const auto begins = cuts(0, n, world.size());
  const auto first = begins[static_cast<std::size_t>(world.rank())],
             end = begins[static_cast<std::size_t>(world.rank()) + 1];
  std::vector<std::vector<float>> mine;
  for (auto i = first; i < end; ++i) mine.push_back(repeat(leaf(i, period)));
  std::vector<float> separate(length);
  // The sum may be written over a leaf.
  const std::span<float> out = mine.empty() ? std::span(separate) : std::span(mine[0]);
  tree_all_reduce({mine.begin(), mine.end()}, first, n, out, world);
  EXPECT_TRUE(same_bits(out, repeat(serial(0, n, period))));
}

TEST(TreeReduce, AnEmptyGradientIsFine) {
  const auto world = Communicator::world();
  std::vector<std::span<float>> mine(1);
  tree_all_reduce(mine, world.rank(), world.size(), {}, world);
}

TEST(TreeReduce, LeavesThatDoNotFitTogetherAreAnErrorOnEveryRank) {
  const auto world = Communicator::world();
  std::vector<float> a(4), out(4), other(5);
  EXPECT_THROW(tree_all_reduce({a}, world.rank(), world.size() + 1, out, world),
               Error);  // one leaf is missing
  EXPECT_THROW(tree_all_reduce({a}, world.rank() + 1, world.size(), out, world), Error);  // a gap
  EXPECT_THROW(tree_all_reduce({}, 0, 0, out, world), Error);
  const bool is_last = world.rank() == world.size() - 1;
  if (world.size() > 1) {
    EXPECT_THROW(
        tree_all_reduce({is_last ? other : a}, world.rank(), world.size(), is_last ? other : out, world),
        Error);
    EXPECT_THROW(tree_all_reduce({a}, world.rank(), world.size() + is_last, out, world), Error);
  }
}

constexpr std::int64_t width = 3;

RowSparse sparse_leaf(std::int64_t i) {
  RowSparse made{.rows = {}, .values = {}, .width = width};
  Philox random(13, Stream::test, 0, static_cast<std::uint64_t>(i));
  for (std::int64_t row = 0; row < 40; ++row) {
    if (random.uniform() < 0.7 && i % 5 != 3) continue;  // some leaves full, most sparse
    if (i % 7 == 4) continue;                            // and some empty
    made.rows.push_back(row);
    for (int j = 0; j < width; ++j) made.values.push_back(random_value(random));
  }
  return made;
}

using Rows = std::map<std::int64_t, std::vector<float>>;

Rows serial_rows(std::int64_t a, std::int64_t b) {
  Rows sum;
  if (b - a == 1) {
    const auto made = sparse_leaf(a);
    for (std::size_t i = 0; i < made.rows.size(); ++i) {
      const auto from = made.values.begin() + static_cast<std::ptrdiff_t>(i) * width;
      sum[made.rows[i]] = {from, from + width};
    }
    return sum;
  }
  const auto middle = a + (b - a + 1) / 2;
  sum = serial_rows(a, middle);
  for (const auto& [row, values] : serial_rows(middle, b)) {
    const auto [place, is_new] = sum.try_emplace(row, values);
    for (std::size_t j = 0; !is_new && j < values.size(); ++j) place->second[j] += values[j];
  }
  return sum;
}

TEST(RowSparseTree, HasTheBitsOfTheSerialTreeHoweverTheLeavesAreSpread) {
  const auto world = Communicator::world();
  for (const std::int64_t n : leaf_counts) {
    RowSparse expected{.rows = {}, .values = {}, .width = width};
    for (const auto& [row, values] : serial_rows(0, n)) {
      expected.rows.push_back(row);
      expected.values.insert(expected.values.end(), values.begin(), values.end());
    }
    for (int way = 0; way < 5; ++way) {
      const auto begins = cuts(way, n, world.size());
      const auto first = begins[static_cast<std::size_t>(world.rank())],
                 end = begins[static_cast<std::size_t>(world.rank()) + 1];
      std::vector<RowSparse> mine;
      for (auto i = first; i < end; ++i) mine.push_back(sparse_leaf(i));
      const RowSparse sum = tree_all_reduce(std::move(mine), first, n, world);
      EXPECT_EQ(sum.rows, expected.rows) << n << " leaves, way " << way;
      EXPECT_TRUE(same_bits(sum.values, expected.values)) << n << " leaves, way " << way;
      EXPECT_EQ(sum.width, width);
    }
  }
}

TEST(RowSparseTree, OfTensorsHasTheSameBits) {
  const auto world = world_with_tensors();
  const auto on_device = [](const RowSparse& x) {
    return RowTensor{x.rows, tensor(x.values, {static_cast<std::int64_t>(x.rows.size()), width})};
  };
  for (const std::int64_t n : leaf_counts) {
    const auto begins = cuts(0, n, world.size());
    const auto first = begins[static_cast<std::size_t>(world.rank())],
               end = begins[static_cast<std::size_t>(world.rank()) + 1];
    std::vector<RowSparse> mine;
    std::vector<std::int64_t> own;
    for (auto i = first; i < end; ++i) {
      mine.push_back(sparse_leaf(i));
      own.insert(own.end(), mine.back().rows.begin(), mine.back().rows.end());
    }
    const std::vector<std::int64_t> rows = all_rows(own, world);
    std::vector<at::Tensor> spread_out;
    for (const RowSparse& x : mine) spread_out.push_back(spread(on_device(x), rows));
    const at::Tensor like = at::empty({static_cast<std::int64_t>(rows.size()), width}, at::kFloat);
    const at::Tensor sum = tree_all_reduce(std::move(spread_out), first, n, like, world);
    const RowSparse expected = tree_all_reduce(std::move(mine), first, n, world);
    EXPECT_EQ(rows, expected.rows);
    EXPECT_TRUE(same_bits(numbers(sum), expected.values)) << n << " leaves";
  }
  for (std::int64_t i = 0; i < 8; ++i) {
    const RowSparse left = sparse_leaf(i), right = sparse_leaf(i + 1), expected = merge(left, right);
    const RowTensor l = on_device(left), sum = merge(l, on_device(right));
    EXPECT_EQ(sum.rows, expected.rows);
    EXPECT_TRUE(same_bits(numbers(sum.values), expected.values));
    EXPECT_TRUE(same_bits(numbers(l.values), left.values)) << "an operand stays as it is";
  }
}

TEST(RowSparseTree, RefusesLeavesThatAreNotWellFormed) {
  const auto world = Communicator::world();
  const auto reduce = [&](RowSparse leaf) {
    (void)tree_all_reduce({std::move(leaf)}, world.rank(), world.size(), world);
  };
  EXPECT_THROW(reduce({.rows = {2, 1}, .values = {1, 2}, .width = 1}), Error);
  EXPECT_THROW(reduce({.rows = {2, 2}, .values = {1, 2}, .width = 1}), Error);
  EXPECT_THROW(reduce({.rows = {1}, .values = {1, 2}, .width = 1}), Error);
  EXPECT_THROW(reduce({.rows = {}, .values = {}, .width = 0}), Error);
}

}  // namespace
}  // namespace twistor::comm
