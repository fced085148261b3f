// SPDX-License-Identifier: Apache-2.0
// New values go into the tensors and panels of the old ones.
#include "weight_changer.hpp"

#include <algorithm>
#include <cstdint>
#include <span>

#include "weight_packer.hpp"

namespace twistor::model {

using device::numbers_in;

void WeightChanger::norm(const NormSource& from, device::Norm& to) const {
  if (from.weight == nullptr) return;
  if (const at::Tensor weight = values_(*from.weight); weight.defined())
    to.weight.copy_(weight.add(from.offset).mul_(from.scale));
  if (from.bias == nullptr) return;
  if (const at::Tensor bias = values_(*from.bias); bias.defined()) to.bias.copy_(bias);
}

void WeightChanger::table(const format::TensorInfo& from, device::Table& to) const {
  const at::Tensor values = values_(from);
  if (!values.defined()) return;
  if (engine_.keeps_tensors()) {
    to.rows.copy_(values);
    return;
  }
  to.read = [values, width = to.width](std::int64_t row, std::span<float> out) {
    std::ranges::copy(numbers_in(values).subspan(static_cast<std::size_t>(row * width), out.size()),
                      out.begin());
  };
}

std::vector<at::Tensor> WeightChanger::values_of_parts(const MatrixSource& source) const {
  std::vector<at::Tensor> out;
  const format::TensorInfo* last = nullptr;
  for (const MatrixSource::Part& part : source.parts) {
    out.push_back(part.weight == last ? out.back() : values_(*part.weight));
    last = part.weight;
  }
  return out;
}

void WeightChanger::linear(const MatrixSource& from, device::Linear& to) const {
  const std::int64_t n = to.weight.n();
  for_each_piece(from, 0, n, [&](const auto& part, std::int64_t row, std::int64_t rows, std::int64_t at) {
    if (part.bias == nullptr) return;
    const at::Tensor bias = values_(*part.bias);
    if (!bias.defined()) return;
    if (from.is_transposed)
      to.bias.copy_(bias);
    else
      to.bias.narrow(0, at, rows).copy_(bias.narrow(0, row, rows));
  });
  const std::vector<at::Tensor> values = values_of_parts(from);
  if (std::ranges::none_of(values, [](const at::Tensor& x) { return x.defined(); })) return;
  if (!engine_.keeps_tensors()) return pack(from, values, to.weight);
  if (from.is_transposed) {
    to.weight.dense.copy_(values.front().t());
    return;
  }
  std::size_t next = 0;
  for_each_piece(from, 0, n, [&](const auto&, std::int64_t row, std::int64_t rows, std::int64_t at) {
    if (const at::Tensor& part = values[next++]; part.defined())
      to.weight.dense.narrow(0, at, rows).copy_(part.narrow(0, row, rows));
  });
}

void WeightChanger::pack(const MatrixSource& source, const std::vector<at::Tensor>& values,
                         device::Weight& to) const {
  if (source.is_transposed) return engine_.write_transposed(to, numbers_in(values.front()));
  const std::int64_t k = to.k(), height = std::min(WeightPacker::slice_rows, to.n());
  const auto numbers = [k](std::int64_t rows) { return static_cast<std::size_t>(rows * k); };
  std::vector<float> buffer(numbers(height));
  for (std::int64_t begin = 0; begin < to.n(); begin += height) {
    const std::int64_t end = std::min(to.n(), begin + height);
    for_each_piece(source, begin, end,
                   [&](const MatrixSource::Part& part, std::int64_t row, std::int64_t n, std::int64_t at) {
                     const at::Tensor& now = values[static_cast<std::size_t>(&part - source.parts.data())];
                     const auto rows = std::span(buffer).subspan(numbers(at), numbers(n));
                     if (now.defined())
                       std::ranges::copy(numbers_in(now).subspan(numbers(row), numbers(n)), rows.begin());
                     else
                       format::read_rows_f32(*part.weight, row, row + n, rows);
                   });
    engine_.write_rows(to, begin, std::span(buffer).first(numbers(end - begin)));
  }
}

}  // namespace twistor::model
