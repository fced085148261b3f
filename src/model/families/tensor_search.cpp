// SPDX-License-Identifier: Apache-2.0
// Looking tensors up by name and shape.
#include "tensor_search.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "twistor/base/error.hpp"
#include "twistor/format/quote.hpp"

namespace twistor::model {
namespace {

/// All of a list, unless a file is so wrong that nobody would read it to the end.
std::string listed(const std::vector<std::string>& items) {
  constexpr std::size_t most = 1000;
  const auto shown = std::span(items).first(std::min(items.size(), most));
  return fmt::format("{}{}", fmt::join(shown, ", "),
                     items.size() > most ? fmt::format(" and {} more", items.size() - most) : "");
}

}  // namespace

const format::TensorInfo* TensorSearch::need(const std::string& name, Shape shape) {
  if (file_->find(name) != nullptr) return find(name, shape);
  missing_.push_back(fmt::format("{} [{}]", format::quote(name), fmt::join(shape, ", ")));
  return nullptr;
}

const format::TensorInfo* TensorSearch::find(const std::string& name, Shape shape) {
  const format::TensorInfo* tensor = file_->find(name);
  if (tensor == nullptr || std::ranges::equal(tensor->shape, shape)) return tensor;
  misshapen_.push_back(fmt::format("{} (expected [{}], got [{}])", format::quote(tensor->name),
                                   fmt::join(shape, ", "), fmt::join(tensor->shape, ", ")));
  return nullptr;
}

void TensorSearch::finish() const {
  if (missing_.empty() && misshapen_.empty()) return;
  std::string problem;
  if (!missing_.empty())
    problem = fmt::format("{} of the tensors that the model needs are not among the file's {}: {}",
                          missing_.size(), file_->tensors().size(), listed(missing_));
  if (!misshapen_.empty())
    problem += fmt::format("{}{} have another shape than the model's configuration says: {}",
                           problem.empty() ? "" : "; ", misshapen_.size(), listed(misshapen_));
  throw Error(ErrorKind::data, "loading weights from " + file_->path().string(), problem,
              missing_.empty() ? "configuration and weights are not of the same model"
                               : "the weights belong to another model family, or the file is incomplete");
}

}  // namespace twistor::model
