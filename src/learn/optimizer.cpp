// SPDX-License-Identifier: Apache-2.0
// Each rank's part of the moments, and the values that ranks tell each other.
#include "twistor/learn/optimizer.hpp"

#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "twistor/base/error.hpp"
#include "twistor/comm/collectives.hpp"

namespace twistor::learn {
namespace {

/// Of a gradient by rows, those in [begin, end), counted from begin.
struct OwnRows {
  OwnRows(std::span<const std::int64_t> all, const at::Tensor& all_values, std::size_t begin,
          std::size_t end) {
    const auto own = [&](std::size_t row) {
      return std::ranges::lower_bound(all, static_cast<std::int64_t>(row)) - all.begin();
    };
    const std::int64_t first = own(begin), last = own(end);
    values = all_values.narrow(0, first, last - first);
    for (std::int64_t i = first; i < last; ++i)
      rows.push_back(all[static_cast<std::size_t>(i)] - static_cast<std::int64_t>(begin));
  }
  std::vector<std::int64_t> rows;
  at::Tensor values;
};

}  // namespace

Optimizer::Optimizer(const comm::Communicator& world, std::size_t divided_from,
                     std::shared_ptr<const device::Engine> engine)
    : node_(world.node()), divided_from_(divided_from), engine_(std::move(engine)) {}

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
  const auto width = static_cast<std::int64_t>(part.width),
             n_rows = static_cast<std::int64_t>(part.end - part.begin);
  const at::Tensor value =
      engine_->keeps_tensors()
          ? parameter.value.change_on(engine_->device())
          : device::view_of(std::span(parameter.value).subspan(part.first(), part.size()), {n_rows * width});
  Moments& moments = moments_[parameter.name];
  if (!moments.m.defined()) moments = {at::zeros_like(value), at::zeros_like(value)};
  const at::Tensor values = gradient.values.view({-1, width}).to(engine_->device());
  const auto begin = static_cast<std::int64_t>(part.begin);
  if (parameter.has_row_gradient) {
    const OwnRows mine(gradient.rows, values, part.begin, part.end);
    const auto by_row = [&](const at::Tensor& x) { return x.view({n_rows, width}); };
    engine_->adam(adam_step(options, step), mine.rows, mine.values,
                  {by_row(value), by_row(moments.m), by_row(moments.v)});
  } else {
    engine_->adam(adam_step(options, step), std::nullopt, values.view({-1}).narrow(0, begin, n_rows),
                  {value, moments.m, moments.v});
  }
  if (is_divided(parameter) && parameter.value.common() == nullptr)
    comm::all_gather_in_place(std::span(parameter.value), part.elements, node_);
}

void Optimizer::visit(const twist::Parameter& parameter, StateVisitor& visitor) {
  const Part part = part_of(parameter);
  Moments& moments = moments_[parameter.name];
  const auto pass = [&](std::string_view folder, at::Tensor& own) {
    if (visitor.is_restoring()) {
      const std::span<const float> whole = visitor.saved(folder, parameter);
      TWISTOR_ASSERT(whole.size() == parameter.value.size(), "moments have the size of their parameter");
      own = engine_->upload(whole.subspan(part.first(), part.size()));
      return;
    }
    const at::Tensor here = own.to(at::kCPU);
    const std::span values(here.const_data_ptr<float>(), part.size());
    if (is_divided(parameter))
      visitor.save(folder, parameter, comm::gather_v(values, part.elements, 0, node_));
    else
      visitor.save(folder, parameter, values);
  };
  pass("adam_m", moments.m);
  pass("adam_v", moments.v);
}

std::size_t Optimizer::bytes() const {
  std::int64_t n = 0;
  for (const auto& [name, moments] : moments_) n += moments.m.numel() + moments.v.numel();
  return static_cast<std::size_t>(n) * sizeof(float);
}

}  // namespace twistor::learn
