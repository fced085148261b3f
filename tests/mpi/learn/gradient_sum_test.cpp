// SPDX-License-Identifier: Apache-2.0
// Sums of gradients on a device against those of main memory.
#include "learn/gradient_sum.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "twistor/base/philox.hpp"
#include "twistor/comm/tensor_collectives.hpp"
#include "twistor/device/engine.hpp"

namespace twistor::learn {
namespace {

constexpr std::int64_t n_shards = 16, V = 20, D = 3;

/// A matrix and a bias by rows, two small dense ones, and a dense one too large to travel with them.
std::vector<twist::Parameter> parameters() {
  std::vector<twist::Parameter> out;
  const auto add = [&](const char* name, std::vector<std::int64_t> shape, bool has_rows) {
    std::size_t n = 1;
    for (const std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    out.push_back({name, std::move(shape), std::vector<float>(n), has_rows});
  };
  add("output.weight", {V, D}, true);
  add("output.bias", {V}, true);
  add("hidden.weight", {4, 5}, false);
  add("hidden.bias", {4}, false);
  add("large", {1060, 1000}, false);
  return out;
}

/// Of one shard; the same on whichever rank has it. Some have nothing.
std::vector<twist::GradientBlock> gradient(const std::vector<twist::Parameter>& all, std::int64_t shard) {
  std::vector<twist::GradientBlock> out;
  if (shard % 7 == 1) return out;
  Philox random(5, Stream::test, 0, static_cast<std::uint64_t>(shard));
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < V; ++row)
    if (random.uniform() < 0.4) rows.push_back(row);
  for (std::size_t p = 0; p < all.size(); ++p) {
    const bool has_rows = all[p].has_row_gradient;
    std::vector<float> values(has_rows ? rows.size() * static_cast<std::size_t>(all[p].width())
                                       : all[p].value.size());
    for (float& x : values)  // magnitudes over 2^20: another order of additions has other bits
      x = static_cast<float>(random.normal()) * std::ldexp(1.0F, static_cast<int>(random.below(20)));
    out.push_back({p, has_rows ? rows : std::vector<std::int64_t>{}, device::cpu_engine()->upload(values)});
  }
  return out;
}

using Sums = std::map<std::size_t, std::pair<std::vector<std::int64_t>, std::vector<float>>>;

Sums sums(GradientSums way, const std::vector<twist::Parameter>& all, const comm::Communicator& world) {
  const Shards shards(n_shards, world);
  const auto sum = make_gradient_sum(way, all, shards, world);
  for (std::int64_t i = 0; i < shards.n_local; ++i)
    for (twist::GradientBlock& block : gradient(all, shards.first + i))
      sum->sink(static_cast<std::size_t>(i))(std::move(block));
  Sums out;
  for (std::size_t group = 0; group < sum->n_groups(); ++group)
    for (const twist::GradientBlock& block : sum->take(group)) {
      const std::span<const float> values = block.in_place();
      out[block.parameter] = {block.rows, {values.begin(), values.end()}};
    }
  EXPECT_EQ(out.size(), all.size());
  return out;
}

class GradientSumOnDevice : public testing::Test {
 protected:
  GradientSumOnDevice() {
    if (world.size() > 1) world.carry_tensors_by(comm::make_tensor_collectives(world, at::kCPU));
  }
  comm::Communicator world = comm::Communicator::world();
  const std::vector<twist::Parameter> all = parameters();
  const Sums wanted = sums(GradientSums::in_main_memory, all, world);
};

TEST_F(GradientSumOnDevice, HasTheBitsOfMainMemory) {
  EXPECT_EQ(sums(GradientSums::on_device, all, world), wanted);
}

TEST_F(GradientSumOnDevice, InAnyOrderIsEqualButForRounding) {
  const Sums got = sums(GradientSums::on_device_in_any_order, all, world);
  std::int64_t n_other = 0;
  for (const auto& [parameter, sum] : wanted) {
    EXPECT_EQ(got.at(parameter).first, sum.first);
    const std::vector<float>&a = got.at(parameter).second, &b = sum.second;
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      ASSERT_NEAR(a[i], b[i], 8.0F) << "of 13 numbers up to 2^22, whose last bit is 0.5";
      n_other += a[i] != b[i] ? 1 : 0;
    }
  }
  if (world.size() == 3 || world.size() == 5) {
    EXPECT_GT(n_other, 0) << "the comparison with the tree can fail";
  }
}

}  // namespace
}  // namespace twistor::learn
