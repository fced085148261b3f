// SPDX-License-Identifier: Apache-2.0
// Sums of gradients over shards.
#include "gradient_sum.hpp"

#include <algorithm>
#include <utility>

#include "twistor/base/error.hpp"

namespace twistor::learn {
namespace {

constexpr std::size_t most_joined = std::size_t{1} << 20;  // floats of a message that is worth waiting for

/// What changes nothing when it is added, not even the sign of a zero.
constexpr float nothing = -0.0F;

/// Floats of a parameter in each row of a message; a dense gradient is one row.
std::size_t row_size(const twist::Parameter& p) {
  return p.has_row_gradient ? static_cast<std::size_t>(p.width()) : p.value.size();
}

}  // namespace

GradientSum::GradientSum(std::span<const twist::Parameter> parameters, const Shards& shards,
                         const comm::Communicator& world)
    : parameters_(parameters),
      shards_(shards),
      world_(world),
      blocks_(parameters.size()),
      n_added_(parameters.size()) {
  for (auto& of_shards : blocks_) of_shards.resize(static_cast<std::size_t>(shards.n_local));
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

twist::GradientSink GradientSum::sink(std::size_t i) {
  return [this, i](twist::GradientBlock block) {
    const std::size_t parameter = block.parameter;
    blocks_[parameter][i] = std::move(block);
    add_up(parameter, i);
  };
}

void GradientSum::add_up(std::size_t parameter, std::size_t last) {
  std::vector<twist::GradientBlock>& blocks = blocks_[parameter];
  for (std::size_t& i = n_added_[parameter]; i <= last; ++i)
    for (const auto& [left, right] : comm::tree_nodes_ending_with(
             shards_.first + static_cast<std::int64_t>(i), shards_.first, shards_.n_all)) {
      twist::GradientBlock& to = blocks[static_cast<std::size_t>(left - shards_.first)];
      twist::GradientBlock& from = blocks[static_cast<std::size_t>(right - shards_.first)];
      if (to.values.empty()) {
        to = std::move(from);
      } else if (parameters_[parameter].has_row_gradient) {
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
}

std::int64_t GradientSum::width_of(const Group& group) const {
  std::size_t width = 0;
  for (std::size_t p = group.begin; p < group.end; ++p) width += row_size(parameters_[p]);
  return static_cast<std::int64_t>(width);
}

std::vector<float> GradientSum::joined(const Group& group, std::size_t i, std::size_t n_rows) {
  const auto width = static_cast<std::size_t>(width_of(group));
  if (group.end - group.begin == 1) {
    std::vector<float> only = std::move(blocks_[group.begin][i].values);
    only.resize(n_rows * width, nothing);
    return only;
  }
  std::size_t at = 0;
  std::vector<float> out(n_rows * width, nothing);
  for (std::size_t p = group.begin; p < group.end; ++p) {
    twist::GradientBlock& block = blocks_[p][i];
    TWISTOR_ASSERT(block.rows == blocks_[group.begin][i].rows, "neighbours have the same rows");
    const std::size_t size = row_size(parameters_[p]);
    for (std::size_t r = 0; r * size < block.values.size(); ++r)
      std::copy_n(block.values.begin() + static_cast<std::ptrdiff_t>(r * size), size,
                  out.begin() + static_cast<std::ptrdiff_t>(r * width + at));
    block.values = {};
    at += size;
  }
  return out;
}

std::vector<twist::GradientBlock> GradientSum::take(std::size_t index) {
  const Group group = groups_[index];
  const std::size_t n_local = blocks_[group.begin].size();
  const bool has_rows = parameters_[group.begin].has_row_gradient;
  const std::int64_t width = width_of(group);
  comm::RowSparse sum;
  if (has_rows) {
    std::vector<comm::RowSparse> leaves;
    for (std::size_t i = 0; i < n_local; ++i) {
      const std::vector<std::int64_t>& rows = blocks_[group.begin][i].rows;
      leaves.push_back({rows, joined(group, i, rows.size()), width});
    }
    sum = comm::tree_all_reduce(std::move(leaves), shards_.first, shards_.n_all, world_);
  } else {
    std::vector<std::vector<float>> values;
    for (std::size_t i = 0; i < n_local; ++i) values.push_back(joined(group, i, 1));
    if (values.empty())
      values.emplace_back(static_cast<std::size_t>(width));  // this rank only learns the sum
    comm::tree_all_reduce({values.begin(), values.begin() + static_cast<std::ptrdiff_t>(n_local)},
                          shards_.first, shards_.n_all, values.front(), world_);
    sum = {{}, std::move(values.front()), width};
  }
  return split(group, std::move(sum));
}

std::vector<twist::GradientBlock> GradientSum::split(const Group& group, comm::RowSparse sum) const {
  std::vector<twist::GradientBlock> out;
  if (group.end - group.begin == 1) {
    out.push_back({group.begin, std::move(sum.rows), std::move(sum.values)});
    return out;
  }
  const auto width = static_cast<std::size_t>(sum.width);
  std::size_t at = 0;
  for (std::size_t p = group.begin; p < group.end; ++p) {
    const std::size_t size = row_size(parameters_[p]);
    twist::GradientBlock block{p, sum.rows, {}};
    for (std::size_t begin = at; begin < sum.values.size(); begin += width) {
      const auto row = sum.values.begin() + static_cast<std::ptrdiff_t>(begin);
      block.values.insert(block.values.end(), row, row + static_cast<std::ptrdiff_t>(size));
    }
    out.push_back(std::move(block));
    at += size;
  }
  return out;
}

}  // namespace twistor::learn
