// SPDX-License-Identifier: Apache-2.0
// Sums of gradients over shards: what is common to them, and those of main memory.
#include "gradient_sum.hpp"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <utility>

#include "device_gradient_sum.hpp"
#include "twistor/base/error.hpp"
#include "twistor/comm/tree_reduce.hpp"

namespace twistor::learn {
namespace {

constexpr std::size_t most_joined = std::size_t{1} << 20;  // floats of a message that is worth waiting for

/// What changes nothing when it is added, not even the sign of a zero.
constexpr float nothing = -0.0F;

/// A tensor (n, width) that keeps the numbers.
at::Tensor tensor_of(std::vector<float> values, std::int64_t width) {
  auto* const kept = new std::vector<float>(std::move(values));
  return at::from_blob(
      kept->data(), {static_cast<std::int64_t>(kept->size()) / width, width}, [kept](void*) { delete kept; },
      at::kFloat);
}

class HostGradientSum final : public GradientSum {
 public:
  HostGradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
                  const comm::Communicator& world)
      : GradientSum(parameters, shards, world), blocks_(parameters.size()) {
    for (auto& of_shards : blocks_) of_shards.resize(static_cast<std::size_t>(shards.n_local));
  }

 private:
  struct Block {
    std::vector<std::int64_t> rows;
    std::vector<float> values;
  };

  void put(std::size_t parameter, std::size_t shard, twist::GradientBlock block) override {
    blocks_[parameter][shard] = {std::move(block.rows), block.numbers()};
  }

  void merge(std::size_t parameter, std::size_t to_shard, std::size_t from_shard) override {
    Block &to = blocks_[parameter][to_shard], &from = blocks_[parameter][from_shard];
    if (to.values.empty()) {
      to = std::move(from);
    } else if (has_rows(parameter)) {
      const std::int64_t width = parameters_[parameter].width();
      comm::RowSparse sum = comm::merge({std::move(to.rows), std::move(to.values), width},
                                        {std::move(from.rows), std::move(from.values), width});
      to.rows = std::move(sum.rows);
      to.values = std::move(sum.values);
    } else {
      for (std::size_t j = 0; j < from.values.size(); ++j) to.values[j] += from.values[j];
    }
    from = {};
  }

  /// Local shard i of a group.
  [[nodiscard]] std::vector<float> joined(const Group& group, std::size_t i, std::size_t n_rows) {
    const auto width = static_cast<std::size_t>(width_of(group));
    if (group.size() == 1) {
      std::vector<float> only = std::move(blocks_[group.begin][i].values);
      only.resize(n_rows * width, nothing);
      return only;
    }
    std::size_t at = 0;
    std::vector<float> out(n_rows * width, nothing);
    for (std::size_t p = group.begin; p < group.end; ++p) {
      Block& block = blocks_[p][i];
      TWISTOR_ASSERT(block.rows == blocks_[group.begin][i].rows, "neighbours have the same rows");
      const std::size_t size = row_size(p);
      for (std::size_t r = 0; r * size < block.values.size(); ++r)
        std::copy_n(block.values.begin() + static_cast<std::ptrdiff_t>(r * size), size,
                    out.begin() + static_cast<std::ptrdiff_t>(r * width + at));
      block.values = {};
      at += size;
    }
    return out;
  }

  Joined sum(const Group& group) override {
    const std::size_t n_local = blocks_[group.begin].size();
    const std::int64_t width = width_of(group);
    if (has_rows(group.begin)) {
      std::vector<comm::RowSparse> leaves;
      for (std::size_t i = 0; i < n_local; ++i) {
        const std::vector<std::int64_t>& rows = blocks_[group.begin][i].rows;
        leaves.push_back({rows, joined(group, i, rows.size()), width});
      }
      comm::RowSparse all = comm::tree_all_reduce(std::move(leaves), shards_.first, shards_.n_all, world_);
      return {std::move(all.rows), tensor_of(std::move(all.values), width)};
    }
    std::vector<std::vector<float>> values;
    for (std::size_t i = 0; i < n_local; ++i) values.push_back(joined(group, i, 1));
    if (values.empty())
      values.emplace_back(static_cast<std::size_t>(width));  // this rank only learns the sum
    comm::tree_all_reduce({values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n_local)},
                          shards_.first, shards_.n_all, values.front(), world_);
    return {{}, tensor_of(std::move(values.front()), width)};
  }

  std::vector<std::vector<Block>> blocks_;  // by parameter and local shard
};

}  // namespace

std::unique_ptr<GradientSum> make_gradient_sum(GradientSums way, std::span<const twist::Parameter> parameters,
                                               const Shards& shards, const comm::Communicator& world) {
  if (way == GradientSums::in_main_memory)
    return std::make_unique<HostGradientSum>(parameters, shards, world);
  return std::make_unique<DeviceGradientSum>(parameters, shards, world,
                                             way == GradientSums::on_device_in_any_order);
}

GradientSum::GradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
                         const comm::Communicator& world)
    : parameters_(parameters), shards_(shards), world_(world), n_added_(parameters.size()) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (groups_.empty() || !joins(groups_.back(), i)) groups_.push_back({i, i});
    ++groups_.back().end;
  }
}

bool GradientSum::joins(const Group& group, std::size_t parameter) const {
  if (world_.size() == 1) return false;
  const twist::Parameter &first = parameters_[group.begin], &p = parameters_[parameter];
  if (first.has_row_gradient != p.has_row_gradient) return false;
  if (p.has_row_gradient) return first.shape.front() == p.shape.front();
  std::size_t n = p.value.size();
  for (std::size_t i = group.begin; i < group.end; ++i) n += parameters_[i].value.size();
  return n <= most_joined;
}

std::size_t GradientSum::row_size(std::size_t parameter) const {
  const twist::Parameter& p = parameters_[parameter];
  return p.has_row_gradient ? static_cast<std::size_t>(p.width()) : p.value.size();
}

std::int64_t GradientSum::width_of(const Group& group) const {
  std::size_t width = 0;
  for (std::size_t p = group.begin; p < group.end; ++p) width += row_size(p);
  return static_cast<std::int64_t>(width);
}

twist::GradientSink GradientSum::sink(std::size_t i) {
  return [this, i](twist::GradientBlock block) {
    const std::size_t parameter = block.parameter;
    put(parameter, i, std::move(block));
    add_up(parameter, i);
  };
}

void GradientSum::add_up(std::size_t parameter, std::size_t last) {
  for (std::size_t& i = n_added_[parameter]; i <= last; ++i)
    for (const auto& [left, right] : comm::tree_nodes_ending_with(
             shards_.first + static_cast<std::int64_t>(i), shards_.first, shards_.n_all))
      merge(parameter, static_cast<std::size_t>(left - shards_.first),
            static_cast<std::size_t>(right - shards_.first));
}

std::vector<twist::GradientBlock> GradientSum::take(std::size_t index) {
  const Group group = groups_[index];
  return split(group, sum(group));
}

std::vector<twist::GradientBlock> GradientSum::split(const Group& group, Joined sum) const {
  std::vector<twist::GradientBlock> out;
  if (group.size() == 1) {
    out.push_back({group.begin, std::move(sum.rows), std::move(sum.values)});
    return out;
  }
  std::int64_t at = 0;
  for (std::size_t p = group.begin; p < group.end; ++p) {
    const auto size = static_cast<std::int64_t>(row_size(p));
    out.push_back({p, sum.rows, sum.values.narrow(1, at, size).contiguous()});
    at += size;
  }
  return out;
}

}  // namespace twistor::learn
