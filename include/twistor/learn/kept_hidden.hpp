// SPDX-License-Identifier: Apache-2.0
// Hidden states of exact samples, kept while there is room: those used longest ago make room for others.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace twistor::learn {

/// Tensors by number, never more than a budget of bytes. *Local.*
class KeptHidden {
 public:
  static constexpr std::int64_t usual_bytes = std::int64_t{256} << 20;

  explicit KeptHidden(std::int64_t budget_bytes) : budget_bytes_(budget_bytes) {}

  /// What is kept under this number, which counts as used now; undefined if there is nothing.
  [[nodiscard]] at::Tensor find(std::int64_t number);
  /// Keeps a tensor under a number that has none. One larger than the budget is not kept.
  void put(std::int64_t number, const at::Tensor& hidden);
  /// Forgets all if they belong to another revision of the model than `revision`.
  void require_revision(std::int64_t revision);

  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(by_use_.size()); }

 private:
  using Entry = std::pair<std::int64_t, at::Tensor>;
  std::int64_t budget_bytes_, bytes_ = 0, revision_ = 0;
  std::list<Entry> by_use_;  // the last used first
  std::unordered_map<std::int64_t, std::list<Entry>::iterator> places_;
};

}  // namespace twistor::learn
