// SPDX-License-Identifier: Apache-2.0
// Each rank's part of the moments, and the values that ranks tell each other.
#include "twistor/learn/optimizer.hpp"

#include <algorithm>
#include <span>

#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

/// Of a gradient by rows, those in [begin, end), counted from begin.
struct OwnRows {
  OwnRows(const twist::GradientBlock& gradient, std::size_t width, std::size_t begin, std::size_t end) {
    const auto own = [&](std::size_t row) {
      return std::ranges::lower_bound(gradient.rows, static_cast<std::int64_t>(row)) - gradient.rows.begin();
    };
    const auto first = static_cast<std::size_t>(own(begin)), last = static_cast<std::size_t>(own(end));
    values = gradient.in_place().subspan(first * width, (last - first) * width);
    for (std::size_t i = first; i < last; ++i)
      rows.push_back(gradient.rows[i] - static_cast<std::int64_t>(begin));
  }
  std::vector<std::int64_t> rows;
  std::span<const float> values;
};

}  // namespace

Optimizer::Optimizer(const comm::Communicator& world, std::size_t divided_from)
    : node_(world.node()), divided_from_(divided_from) {}

Optimizer::Part Optimizer::part_of(const twist::Parameter& parameter) const {
  Part part;
  if (parameter.has_row_gradient) part.width = static_cast<std::size_t>(parameter.width());
  const std::size_t n = parameter.value.size() / part.width;
  const auto n_ranks = static_cast<std::size_t>(is_divided(parameter) ? node_.size() : 1);
  const auto rank = static_cast<std::size_t>(is_divided(parameter) ? node_.rank() : 0);
  const auto cut = [&](std::size_t r) { return n * r / n_ranks; };
  part.begin = cut(rank);
  part.end = cut(rank + 1);
  for (std::size_t r = 0; r < n_ranks; ++r)
    part.elements.push_back(static_cast<std::int64_t>((cut(r + 1) - cut(r)) * part.width));
  return part;
}

void Optimizer::update(const AdamOptions& options, std::int64_t step, const twist::GradientBlock& gradient,
                       twist::Parameter& parameter) {
  const Part part = part_of(parameter);
  const auto own = std::span(parameter.value).subspan(part.first(), part.size());
  AdamMoments& moments = moments_[parameter.name];
  if (parameter.has_row_gradient) {
    const OwnRows mine(gradient, part.width, part.begin, part.end);
    adam_rows(options, step, mine.rows, mine.values, static_cast<std::int64_t>(part.width), own, moments);
  } else {
    adam_step(options, step, gradient.in_place().subspan(part.first(), part.size()), own, moments);
  }
  if (is_divided(parameter) && parameter.value.common() == nullptr)
    comm::all_gather_in_place(std::span(parameter.value), part.elements, node_);
}

void Optimizer::visit(const twist::Parameter& parameter, StateVisitor& visitor) {
  const Part part = part_of(parameter);
  AdamMoments& moments = moments_[parameter.name];
  const auto pass = [&](std::string_view folder, std::vector<float>& own) {
    if (visitor.is_restoring()) {
      const std::span<const float> whole = visitor.saved(folder, parameter);
      TWISTOR_ASSERT(whole.size() == parameter.value.size(), "moments have the size of their parameter");
      const std::span<const float> mine = whole.subspan(part.first(), part.size());
      own.assign(mine.begin(), mine.end());
    } else if (is_divided(parameter)) {
      visitor.save(folder, parameter, comm::gather_v(std::span<const float>(own), part.elements, 0, node_));
    } else {
      visitor.save(folder, parameter, own);
    }
  };
  pass("adam_m", moments.m);
  pass("adam_v", moments.v);
}

std::size_t Optimizer::bytes() const {
  std::size_t n = 0;
  for (const auto& [name, moments] : moments_) n += moments.m.size() + moments.v.size();
  return n * sizeof(float);
}

}  // namespace twistor::learn
